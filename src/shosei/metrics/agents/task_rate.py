"""Inference speed of an agent system: how many tasks it answers a second, and in how many calls."""

from __future__ import annotations

from collections.abc import Callable

from shosei.log import Log
from shosei.metrics.agents import transfers
from shosei.metrics.agents.calls import names
from shosei.metrics.agents.tasks import as_request, by_task, calls, pauses, submitted, window_of
from shosei.metrics.bins import Bins
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.metric import Curve, Figure, Plot, Table
from shosei.metrics.performance.in_flight import mean_in_flight
from shosei.metrics.performance.offered import Offered
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.text import Text, text


def task_rate(service_level: ServiceLevel) -> Callable[[Log], Value]:
    """Tasks answered a second, from the first submission to the last end; goodput counted by ``service_level``."""

    def compute(log: Log) -> Value:
        tasks = submitted(log)
        offered = Offered(window_of(tasks), pauses(tasks), text("term.client"), [as_request(task) for task in tasks])
        if not offered.good:
            raise Unmeasurable("not_measured", text("agents.no_success", tasks=len(tasks)))
        rate = offered.rate([(task, 1) for task in offered.good], "tasks/s")
        beside = {"tokens_per_s": _tokens(offered), "goodput": _goodput(offered, service_level)}
        made = by_task(calls(log)[1])
        return Value(
            value=rate.value or 0.0, n=len(offered.good), clusters=rate.n, unit_of_n=text("term.time_batches"),
            ci=rate.ci or (None, None), ci_method=text("term.t_time_batches"), detail=text("agents.tasks_in_window"),
            figures={name: found for name, found in beside.items() if isinstance(found, Figure)},
            plots=[_over_time(offered)],
            breakdown=[
                Table(text("agents.tasks"), [text("term.quantity"), text("term.value")], [
                    [text("agents.submitted"), len(offered.scheduled)],
                    [text("agents.answered"), len(offered.good)],
                    [text("performance.steady_window"), offered.seconds],
                    [text("performance.output_tokens"), _told(beside["tokens_per_s"])],
                    [text("agents.goodput"), _told(beside["goodput"])],
                ]),
                *transfers.tables(made, names(call for own in made.values() for call in own)),
            ],
        )  # fmt: skip

    return compute


def _tokens(offered: Offered) -> Figure | Text:
    tokens = [(task, task.tokens_out) for task in offered.good if task.tokens_out is not None]
    known = len(tokens) == len(offered.good)
    return offered.rate(tokens, "tokens/s") if known else text("performance.no_usage")


def _goodput(offered: Offered, service_level: ServiceLevel) -> Figure | Text:
    """The rate of tasks that keep the limit of a task."""
    if service_level.task_ms is None:
        return text("agents.no_limit")
    limit_ns = service_level.task_ms * 1e6
    keeping = [(task, 1) for task in offered.good if (task.done_ns or 0) - task.scheduled_ns <= limit_ns]
    return offered.rate(keeping, "tasks/s")


def _told(found: Figure | Text) -> Text | float | None:
    return found.value if isinstance(found, Figure) else found


def _over_time(offered: Offered) -> Plot:
    bins = Bins.for_plot(offered.window.begin_ns, offered.window.end_ns)
    curve = Curve(text("performance.in_flight"), [*mean_in_flight(offered.requests, bins)])
    return Plot(text("agents.over_time"), text("term.seconds"), text("agents.tasks"), bins.x, [curve])
