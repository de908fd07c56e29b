"""Inference speed of an agent system: how many tasks it answers a second, and in how many calls."""

from __future__ import annotations

from collections.abc import Callable

from shosei.log import Log
from shosei.metrics.agents import transfers
from shosei.metrics.agents.calls import names
from shosei.metrics.agents.tasks import as_request, by_task, calls, submitted, window_of
from shosei.metrics.bins import Bins
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.faults import Drill
from shosei.metrics.metric import Curve, Figure, Plot, Row, Table
from shosei.metrics.performance.in_flight import mean_in_flight
from shosei.metrics.performance.offered import Offered
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.text import Words, text


def task_rate(service_level: ServiceLevel) -> Callable[[Log], Value]:
    """Tasks answered a second, from the first submission to the last end; goodput counted by ``service_level``."""

    def compute(log: Log) -> Value:
        tasks = submitted(log)
        offered = Offered(window_of(tasks), Drill([]), text("term.client"), [as_request(task) for task in tasks])
        if not offered.good:
            raise Unmeasurable("not_measured", text("agents.no_success", tasks=len(tasks)))
        rate = offered.rate([(task, 1) for task in offered.good], "tasks/s")
        figures, rows = _beside(offered, service_level)
        made = by_task(calls(log)[1])
        return Value(
            value=rate.value or 0.0, n=len(offered.good), clusters=rate.n, unit_of_n=text("term.time_batches"),
            ci=rate.ci or (None, None), ci_method=text("term.t_time_batches"), detail=text("agents.tasks_in_window"),
            figures=figures, plots=[_over_time(offered)],
            breakdown=[
                Table(text("agents.tasks"), [text("term.quantity"), text("term.value")], rows),
                *transfers.tables(made, names(call for own in made.values() for call in own)),
            ],
        )  # fmt: skip

    return compute


def _beside(offered: Offered, service_level: ServiceLevel) -> tuple[dict[str, Figure], list[Row]]:
    """Tokens a second, and the rate of tasks that keep the limit of a task."""
    rows: list[Row] = [
        [text("agents.submitted"), len(offered.scheduled)],
        [text("agents.answered"), len(offered.good)],
        [text("performance.steady_window"), offered.seconds],
    ]
    figures: dict[str, Figure] = {}
    told: list[Words | float | None] = []
    tokens = [(task, task.tokens_out) for task in offered.good if task.tokens_out is not None]
    if len(tokens) == len(offered.good):
        figures["tokens_per_s"] = offered.rate(tokens, "tokens/s")
        told.append(figures["tokens_per_s"].value)
    else:
        told.append(text("performance.no_usage"))
    if service_level.task_ms is None:
        told.append(text("agents.no_limit"))
    else:
        limit_ns = service_level.task_ms * 1e6
        keeping = [(task, 1) for task in offered.good if (task.done_ns or 0) - task.scheduled_ns <= limit_ns]
        figures["goodput"] = offered.rate(keeping, "tasks/s")
        told.append(figures["goodput"].value)
    return figures, [*rows, [text("performance.output_tokens"), told[0]], [text("agents.goodput"), told[1]]]


def _over_time(offered: Offered) -> Plot:
    bins = Bins.for_plot(offered.window.begin_ns, offered.window.end_ns)
    curve = Curve(text("performance.in_flight"), [*mean_in_flight(offered.requests, bins)])
    return Plot(text("agents.over_time"), text("term.seconds"), text("agents.tasks"), bins.x, [curve])
