"""Inference speed: samples, requests or an agent system's tasks a second."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from shosei.log import Log, RunBegin, Step
from shosei.metrics import stats
from shosei.metrics.metric import Curve, Figure, Key, Plot, Row, Table, Text, Words, text
from shosei.metrics.observed.requests import (
    Drill,
    Offered,
    mean_in_flight,
    offered_load,
    steady_window,
    time_batches,
    why_invalid,
)
from shosei.metrics.observed.saturation import Saturation, saturation
from shosei.metrics.observed.series import Bins, RatioBatches
from shosei.metrics.observed.steps import gaps, total, whole_steps
from shosei.metrics.observed.tasks import as_requests, by_task, calls, names, pauses, submitted, window_of
from shosei.metrics.performance import transfers
from shosei.metrics.performance.max_rate import max_rate
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.value import Unmeasurable, Value
from shosei.quantity import NS_PER_MS, NS_PER_S

_COMMAND = "shosei supervise --run RUN --step-pattern '... (?P<samples>[0-9]+)' -- CMD"

_ARRIVALS = ("poisson", "constant", "ramp", "trace", "closed")


def training_rate(log: Log) -> Value:
    """Samples per second of optimiser steps, data wait included; of all ranks together, at the slowest one's pace."""
    steps = whole_steps(log.of(Step))
    seconds = [step.duration_ns / NS_PER_S for step in steps]
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
        notes=gaps([step.count for step in steps]),
        breakdown=[rates],
    )


def _per_second(counts: Sequence[int | None], seconds: Sequence[float], unit: str) -> Figure:
    """What the steps counted, per second; without a value where one of them does not tell."""
    counted = total(counts)
    if counted is None:
        return Figure(None, unit, "higher")
    batches = RatioBatches.of_equal_count(tops=[float(count or 0) for count in counts], bottoms=seconds)
    interval = stats.ratio_interval(batches.tops, batches.bottoms)
    return Figure(counted / math.fsum(seconds), unit, "higher", interval, len(batches))


@dataclass(slots=True)
class _Details:
    """Of a load: rows, figures and notes beside the rate."""

    rows: dict[Key, Row] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    notes: list[Key | Text] = field(default_factory=list)


def request_rate(service_level: ServiceLevel) -> Callable[[Log], Value]:
    """Successful requests per second that finish in the steady window, goodput counted by ``service_level``."""

    def compute(log: Log) -> Value:
        window = steady_window(log)
        load = Offered(window, Drill.of(log, window.boot), *offered_load(log))
        if not len(load.scheduled):
            raise Unmeasurable("not_measured", "performance.no_load")
        if not len(load.good):
            raise Unmeasurable("not_measured", text("performance.no_success", requests=len(load.scheduled)))
        rate = load.rate(load.good, "requests/s")
        details = _Details({"term.vantage": [load.vantage], "performance.arrival": [_arrival(log)]})
        _add_saturation(details, load)
        _add_tokens(details, load)
        _add_goodput(details, load, service_level)
        _add_max_rate(details, log, service_level)
        if load.drill.seconds(window.begin_ns, window.end_ns):
            details.notes.append("performance.faults_left_out")
        return Value(
            value=len(load.good) / load.seconds,
            n=len(load.good),
            clusters=rate.n,
            unit_of_n="term.time_batches",
            ci=rate.ci or (None, None),
            ci_method="term.t_time_batches",
            detail="performance.requests_in_window",
            invalid=why_invalid(load.window),
            figures=details.figures,
            notes=details.notes,
            plots=[_over_time(load)],
            breakdown=[Table.of("performance.load", ["term.quantity", "term.value"], details.rows)],
        )

    return compute


def _arrival(log: Log) -> Words:
    """What the load's arrival process is called."""
    arrival = next((begin.arrival for begin in log.of(RunBegin) if begin.arrival), "")
    return text(f"arrival.{arrival}") if arrival in _ARRIVALS else arrival or text("term.not_recorded")


def _add_saturation(details: _Details, load: Offered) -> None:
    """What was offered, how much of it was answered, and whether the client kept to its schedule."""
    achieved, offered = len(load.good) / load.seconds, len(load.scheduled) / load.seconds
    is_client_bound = bool(why_invalid(load.window))  # then the client was saturated, and nobody knows of the server
    signs = saturation(load)
    batches = time_batches(load.scheduled["scheduled_ns"], load.window.begin_ns, load.window.end_ns)
    holding = len(np.unique(batches))  # neighbours share a queue
    sent = load.scheduled.at(load.scheduled.has("sent_ns"))
    lag = (sent["sent_ns"] - sent["scheduled_ns"]) / NS_PER_MS
    details.rows |= {
        "performance.offered": [offered],
        "performance.achieved_over_offered": [achieved / offered],
        "performance.send_lag": [stats.percentile(lag, 99)],
        "performance.steady_window": [load.seconds],
    }
    details.figures |= {
        "offered": Figure(offered, "requests/s", "higher", n=holding),
        "achieved_over_offered": Figure(achieved / offered, "", "higher", n=holding),
        "saturated": Figure(None if is_client_bound else float(bool(signs)), "0/1", "lower", n=1),
    }
    if not is_client_bound:
        details.notes += _of_saturation(signs)
    if len(lag) < (least := stats.PERCENTILE_MIN_N[99]):
        details.notes.append(text("performance.lag_refused", least=least))


def _of_saturation(signs: Saturation) -> list[Text]:
    """A note for each sign that more came than the server could take."""
    notes = []
    if signs.turns_away:
        notes.append(
            text("performance.turned_away", count=signs.turned_away, share=f"{signs.turned_away / signs.scheduled:.1%}")
        )
    if signs.falls_behind:
        notes.append(text("performance.saturated", ended=signs.ended, due=signs.due))
    if signs.grows:
        notes.append(text("performance.queue_grows"))
    return notes


def _add_tokens(details: _Details, load: Offered) -> None:
    if not load.good.has("tokens_out").all():
        details.rows["performance.output_tokens"] = [text("performance.no_usage")]
        return
    details.figures["tokens_per_s"] = load.rate(load.good, "tokens/s", "tokens_out")
    details.rows["performance.output_tokens"] = [details.figures["tokens_per_s"].value]


def _add_goodput(details: _Details, load: Offered, service_level: ServiceLevel) -> None:
    """The rate of requests that keep every limit, and their share of all that were scheduled in the window."""
    if not service_level.is_set:
        details.rows["performance.goodput"] = [text("performance.no_limits")]
        return
    if service_level.unknown(load.good).any():
        details.rows["performance.goodput"] = [text("performance.limits_unknown")]
        return
    keeping = load.good.at(service_level.kept(load.good))
    kept = int((service_level.kept(load.scheduled) & ~load.scheduled.has("error")).sum())
    details.figures["goodput"] = load.rate(keeping, "requests/s")
    details.rows["performance.goodput"] = [details.figures["goodput"].value]
    details.rows["performance.share_keeping"] = [kept / len(load.scheduled)]


def _add_max_rate(details: _Details, log: Log, service_level: ServiceLevel) -> None:
    """What a search for the highest rate has found, if there was one."""
    found = max_rate(log, service_level)
    if found is None:
        return
    details.figures["max_rate"] = found.figure
    details.rows["performance.max_rate"] = [found.figure.value]
    if found.client_bound:
        details.notes.append("performance.max_rate_client_bound")


def _over_time(load: Offered) -> Plot:
    bins = Bins.for_plot(load.window.begin_ns, load.window.end_ns)
    place = (load.good["done_ns"] - bins.begin_ns) // bins.width_ns
    finished = np.bincount(place, np.full(len(place), NS_PER_S / bins.width_ns), minlength=bins.count)
    curves = [
        Curve(text("performance.finished_per_s"), finished.tolist()),
        Curve(text("performance.in_flight"), [*mean_in_flight(load.requests, bins)]),
    ]
    return Plot.of("performance.load_over_time", "term.seconds", "performance.requests", bins.x, curves)


def task_rate(service_level: ServiceLevel) -> Callable[[Log], Value]:
    """Tasks answered a second, from the first submission to the last end; goodput counted by ``service_level``."""

    def compute(log: Log) -> Value:
        tasks = submitted(log)
        offered = Offered(window_of(tasks), pauses(tasks), text("term.client"), as_requests(tasks))
        if not len(offered.good):
            raise Unmeasurable("not_measured", text("agents.no_success", tasks=len(tasks)))
        rate = offered.rate(offered.good, "tasks/s")
        figures = {"tokens_per_s": _tokens(offered), "goodput": _goodput(offered, service_level)}
        made = by_task(calls(log)[1])
        return Value(
            value=rate.value or 0.0,
            n=len(offered.good),
            clusters=rate.n,
            unit_of_n="term.time_batches",
            ci=rate.ci or (None, None),
            ci_method="term.t_time_batches",
            detail="agents.tasks_in_window",
            figures={name: found for name, found in figures.items() if isinstance(found, Figure)},
            plots=[_tasks_over_time(offered)],
            breakdown=[
                Table.of(
                    "agents.tasks",
                    ["term.quantity", "term.value"],
                    {
                        "agents.submitted": [len(offered.scheduled)],
                        "agents.answered": [len(offered.good)],
                        "performance.steady_window": [offered.seconds],
                        "performance.output_tokens": [_told(figures["tokens_per_s"])],
                        "agents.goodput": [_told(figures["goodput"])],
                    },
                ),
                *transfers.tables(made, names(call for own in made.values() for call in own)),
            ],
        )

    return compute


def _tokens(offered: Offered) -> Figure | Text:
    told = offered.good.has("tokens_out").all()
    return offered.rate(offered.good, "tokens/s", "tokens_out") if told else text("performance.no_usage")


def _goodput(offered: Offered, service_level: ServiceLevel) -> Figure | Text:
    """The rate of tasks that keep the limit of a task."""
    if service_level.task_ms is None:
        return text("agents.no_limit")
    taken_ns = offered.good["done_ns"] - offered.good["scheduled_ns"]
    return offered.rate(offered.good.at(taken_ns <= service_level.task_ms * NS_PER_MS), "tasks/s")


def _told(found: Figure | Text) -> Text | float | None:
    return found.value if isinstance(found, Figure) else found


def _tasks_over_time(offered: Offered) -> Plot:
    bins = Bins.for_plot(offered.window.begin_ns, offered.window.end_ns)
    curve = Curve(text("performance.in_flight"), [*mean_in_flight(offered.requests, bins)])
    return Plot.of("agents.over_time", "term.seconds", "agents.tasks", bins.x, [curve])
