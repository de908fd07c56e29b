"""Inference speed: samples, requests or an agent system's tasks a second."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shosei.log import Log, RunBegin, Step
from shosei.metrics import stats
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.metric import Curve, Figure, Key, Plot, Row, Table, Text, text
from shosei.metrics.observed.bins import SECOND_NS, Bins
from shosei.metrics.observed.faults import Drill
from shosei.metrics.observed.offered import Offered, mean_in_flight
from shosei.metrics.observed.requests import offered_load
from shosei.metrics.observed.series import RatioBatches, by_time, steady_window
from shosei.metrics.observed.steps import total, whole_steps
from shosei.metrics.observed.tasks import as_request, by_task, calls, names, pauses, submitted, window_of
from shosei.metrics.performance import transfers
from shosei.metrics.performance.max_rate import max_rate
from shosei.metrics.service_level import ServiceLevel

_COMMAND = "shosei supervise --run RUN --step-pattern '... (?P<samples>[0-9]+)' -- CMD"


def training_rate(log: Log) -> Value:
    """Samples per second of optimiser steps, data wait included; of all ranks together, at the slowest one's pace."""
    steps = whole_steps(log.of(Step))
    seconds = [step.duration_ns / SECOND_NS for step in steps]
    if math.fsum(seconds) <= 0:
        raise Unmeasurable("not_measured", "performance.no_time")
    samples = _per_second([step.samples for step in steps], seconds, "samples/s")
    tokens = _per_second([step.tokens for step in steps], seconds, "tokens/s")
    rates = Table.of(
        "performance.training_rate",
        ["term.quantity", "term.per_second"],
        {"performance.samples": [samples.value], "performance.tokens": [tokens.value]},
    )
    if samples.value is None:
        raise Unmeasurable("not_measured", "performance.samples_unknown", _COMMAND, [rates])
    return Value(
        value=samples.value,
        n=len(steps),
        clusters=samples.n,
        unit_of_n="term.time_batches",
        ci=samples.ci or (None, None),
        ci_method="term.t_time_batches",
        detail="performance.samples_in_steps",
        figures={"tokens_per_s": tokens},
        breakdown=[rates],
    )


def _per_second(counts: Sequence[int | None], seconds: Sequence[float], unit: str) -> Figure:
    """What the steps counted, per second; without a value where one of them does not tell."""
    counted = total(counts)
    if counted is None:
        return Figure(None, unit, "higher")
    batches = RatioBatches.of_equal_count(seconds, [float(count or 0) for count in counts])
    interval = stats.ratio_interval(batches.tops, batches.bottoms)
    return Figure(counted / math.fsum(seconds), unit, "higher", interval, len(batches))


@dataclass(slots=True)
class _Beside:
    """What stands beside the rate."""

    rows: dict[Key, Row] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    notes: list[Key | Text] = field(default_factory=list)


def request_rate(service_level: ServiceLevel) -> Callable[[Log], Value]:
    """Successful requests per second that finish in the steady window, goodput counted by ``service_level``."""

    def compute(log: Log) -> Value:
        window = steady_window(log)
        load = Offered(window, Drill.of(log, window.boot), *offered_load(log))
        if not load.scheduled:
            raise Unmeasurable("not_measured", "performance.no_load")
        if not load.good:
            raise Unmeasurable("not_measured", text("performance.no_success", requests=len(load.scheduled)))
        rate = load.rate([(request, 1) for request in load.good], "requests/s")
        arrival = next((begin.arrival for begin in log.of(RunBegin) if begin.arrival), text("term.not_recorded"))
        beside = _Beside({"term.vantage": [load.vantage], "performance.arrival": [arrival]})
        _add_saturation(beside, load)
        _add_tokens(beside, load)
        _add_goodput(beside, load, service_level)
        _add_max_rate(beside, log, service_level)
        if load.drill.seconds(window.begin_ns, window.end_ns):
            beside.notes.append("performance.faults_left_out")
        return Value(
            value=len(load.good) / load.seconds,
            n=len(load.good),
            clusters=rate.n,
            unit_of_n="term.time_batches",
            ci=rate.ci or (None, None),
            ci_method="term.t_time_batches",
            detail="performance.requests_in_window",
            invalid=load.window.invalid,
            figures=beside.figures,
            notes=beside.notes,
            plots=[_over_time(load)],
            breakdown=[Table.of("performance.load", ["term.quantity", "term.value"], beside.rows)],
        )

    return compute


def _add_saturation(beside: _Beside, load: Offered) -> None:
    """What was offered, how much of it was answered, and whether the client kept to its schedule."""
    achieved, offered = len(load.good) / load.seconds, len(load.scheduled) / load.seconds
    saturated = load.saturated
    points = [(request.scheduled_ns, request) for request in load.scheduled]
    holding = sum(map(bool, by_time(points, load.window.begin_ns, load.window.end_ns)))  # neighbours share a queue
    lag = [(request.sent_ns - request.scheduled_ns) / 1e6 for request in load.scheduled if request.sent_ns is not None]
    beside.rows |= {
        "performance.offered": [offered],
        "performance.achieved_over_offered": [achieved / offered],
        "performance.send_lag": [stats.percentile(lag, 99)],
        "performance.steady_window": [load.seconds],
    }
    beside.figures |= {
        "offered": Figure(offered, "requests/s", "higher", n=holding),
        "achieved_over_offered": Figure(achieved / offered, "", "higher", n=holding),
        "saturated": Figure(float(saturated), "0/1", "lower", n=1),
    }
    if saturated:
        beside.notes.append(text("performance.saturated", achieved=achieved, offered=offered))
    if load.grows:
        beside.notes.append("performance.queue_grows")
    if len(lag) < (least := stats.PERCENTILE_MIN_N[99]):
        beside.notes.append(text("performance.lag_refused", least=least))


def _add_tokens(beside: _Beside, load: Offered) -> None:
    tokens = [(request, request.tokens_out) for request in load.good if request.tokens_out is not None]
    if len(tokens) < len(load.good):
        beside.rows["performance.output_tokens"] = [text("performance.no_usage")]
        return
    beside.figures["tokens_per_s"] = load.rate(tokens, "tokens/s")
    beside.rows["performance.output_tokens"] = [beside.figures["tokens_per_s"].value]


def _add_goodput(beside: _Beside, load: Offered, service_level: ServiceLevel) -> None:
    """The rate of requests that keep every limit, and their share of all that were scheduled in the window."""
    if not service_level.is_set:
        beside.rows["performance.goodput"] = [text("performance.no_limits")]
        return
    if any(service_level.kept_by(request) is None for request in load.good):
        beside.rows["performance.goodput"] = [text("performance.limits_unknown")]
        return
    keeping = [(request, 1) for request in load.good if service_level.kept_by(request)]
    share = sum(not request.error and bool(service_level.kept_by(request)) for request in load.scheduled)
    beside.figures["goodput"] = load.rate(keeping, "requests/s")
    beside.rows["performance.goodput"] = [beside.figures["goodput"].value]
    beside.rows["performance.share_keeping"] = [share / len(load.scheduled)]


def _add_max_rate(beside: _Beside, log: Log, service_level: ServiceLevel) -> None:
    """What a search for the highest rate has found, if there was one."""
    found = max_rate(log, service_level)
    if found is None:
        return
    beside.figures["max_rate"] = found.figure
    beside.rows["performance.max_rate"] = [found.figure.value]
    if found.client_bound:
        beside.notes.append("performance.max_rate_client_bound")


def _over_time(load: Offered) -> Plot:
    bins = Bins.for_plot(load.window.begin_ns, load.window.end_ns)
    finished = [0.0] * bins.count
    for request in load.good:
        finished[((request.done_ns or 0) - bins.begin_ns) // bins.width_ns] += SECOND_NS / bins.width_ns
    curves = [
        Curve(text("performance.finished_per_s"), [*finished]),
        Curve(text("performance.in_flight"), [*mean_in_flight(load.requests, bins)]),
    ]
    return Plot.of("performance.load_over_time", "term.seconds", "performance.requests", bins.x, curves)


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
            value=rate.value or 0.0,
            n=len(offered.good),
            clusters=rate.n,
            unit_of_n="term.time_batches",
            ci=rate.ci or (None, None),
            ci_method="term.t_time_batches",
            detail="agents.tasks_in_window",
            figures={name: found for name, found in beside.items() if isinstance(found, Figure)},
            plots=[_tasks_over_time(offered)],
            breakdown=[
                Table.of(
                    "agents.tasks",
                    ["term.quantity", "term.value"],
                    {
                        "agents.submitted": [len(offered.scheduled)],
                        "agents.answered": [len(offered.good)],
                        "performance.steady_window": [offered.seconds],
                        "performance.output_tokens": [_told(beside["tokens_per_s"])],
                        "agents.goodput": [_told(beside["goodput"])],
                    },
                ),
                *transfers.tables(made, names(call for own in made.values() for call in own)),
            ],
        )

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


def _tasks_over_time(offered: Offered) -> Plot:
    bins = Bins.for_plot(offered.window.begin_ns, offered.window.end_ns)
    curve = Curve(text("performance.in_flight"), [*mean_in_flight(offered.requests, bins)])
    return Plot.of("agents.over_time", "term.seconds", "agents.tasks", bins.x, [curve])
