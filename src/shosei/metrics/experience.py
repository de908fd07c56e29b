"""User experience: response time, satisfaction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shosei.log import Log, Rating, Request, Section, Step, Window
from shosei.metrics import stats
from shosei.metrics.cell import Cell, Unmeasurable, Value
from shosei.metrics.metric import Curve, Plot, Row, Table
from shosei.metrics.series import Batches, by_time, steady_window

MS = 1e6
PERCENTS = (50, 90, 95, 99)


def _quantiles(name: str, values: Sequence[float]) -> Row:
    return [name, stats.mean(values) if values else None, *(stats.percentile(values, p) for p in PERCENTS), len(values)]


_COLUMNS = ["milliseconds", "mean", "p50", "p90", "p95", "p99", "n"]


def step_latency(log: Log) -> Value:
    """Mean time of an optimiser step in ms, and how long a run takes to its first step and first checkpoint."""
    steps, sections = log.of(Step), log.of(Section)
    times = [step.duration_ns / MS for step in steps]
    batches = Batches.of_equal_count([1.0] * len(times), times)
    begin = min([section.begin_ns for section in sections] + [steps[0].mono_ns - steps[0].duration_ns])
    saved = [section.end_ns for section in sections if section.name == "checkpoint"]
    return Value(
        value=stats.mean(times), n=len(times), clusters=len(batches), unit_of_n="time batches",
        ci=stats.ratio_interval(batches.tops, batches.bottoms), ci_method="Student t over time batches",
        detail="mean time of an optimiser step",
        breakdown=[
            Table("step latency", _COLUMNS, [_quantiles("step", times)]),
            Table("start-up", ["from the first load to", "seconds"], [
                ["the end of the first step", (steps[0].mono_ns - begin) / 1e9],
                ["the first usable checkpoint", (min(saved) - begin) / 1e9 if saved else None],
            ]),
        ],
    )  # fmt: skip


def response_time(log: Log) -> Value:
    """Mean ms from the scheduled send to the last byte, over successes scheduled in the steady window."""
    window = steady_window(log)
    load = [r for r in log.of(Request) if r.purpose == "load" and r.seen_by == "client" and r.error != "cancelled"]
    load = [r for r in load if window.begin_ns <= r.scheduled_ns < window.end_ns]
    good = sorted((r for r in load if not r.error and r.done_ns), key=lambda request: request.scheduled_ns)
    if not good:
        raise Unmeasurable("not_measured", f"none of the {len(load)} requests in the steady window succeeded")
    times = [((r.done_ns or 0) - r.scheduled_ns) / MS for r in good]
    first = [(r.first_token_ns - r.scheduled_ns) / MS for r in good if r.first_token_ns]
    per_token = [
        ((r.done_ns or 0) - r.first_token_ns) / MS / (r.tokens_out - 1)
        for r in good if r.first_token_ns and r.tokens_out and r.tokens_out > 1
    ]  # fmt: skip
    batches = by_time(
        [(r.scheduled_ns, time) for r, time in zip(good, times, strict=True)], window.begin_ns, window.end_ns
    )
    batches = [batch for batch in batches if batch]
    failed = len(load) - len(good)
    # A request that never succeeds has waited for ever: JSON has no infinity, so an unbounded percentile is None.
    unbounded = [stats.percentile([*times, *[math.inf] * failed], percent) for percent in PERCENTS]
    finite = [None if value is None or math.isinf(value) else value for value in unbounded]
    rows = [_quantiles("response", times), _quantiles("time to first token", first)]
    rows += [_quantiles("time per output token after the first", per_token)]
    rows += [["response, failures unbounded", None if failed else stats.mean(times), *finite, len(load)]]
    notes = [f"unbounded: {failed} of {len(load)} requests failed ({failed / len(load):.1%})"] if failed else []
    refused = [f"p{p} needs n >= {least}" for p, least in stats.PERCENTILE_MIN_N.items() if len(times) < least]
    return Value(
        value=stats.mean(times), n=len(times), clusters=len(batches), unit_of_n="time batches",
        ci=stats.ratio_interval([math.fsum(batch) for batch in batches], [float(len(batch)) for batch in batches]),
        ci_method="Student t over time batches", invalid=window.invalid, detail="mean, scheduled send to last byte",
        notes=[*notes, *refused], breakdown=[Table("latency", _COLUMNS, rows)], plots=[_distribution(times)],
    )  # fmt: skip


def _distribution(times: list[float]) -> Plot:
    """The response times' quantiles: which share of requests is answered within so many ms."""
    ordered = sorted(times)
    size = math.ceil(len(ordered) / 200)
    picked = ordered[size - 1 :: size]
    shares: list[float | None] = [(index + 1) * size / len(ordered) for index in range(len(picked))]
    return Plot("answered within", "ms", "share of requests", picked, [Curve("share", shares)])


def satisfaction(log: Log) -> Value:
    """Share of satisfied ratings by people: 4 or 5 stars, or a thumb up. Model judges stay apart."""
    people = [rating for rating in log.of(Rating) if rating.rater_kind == "person"]
    if not people:
        raise Unmeasurable("not_measured", "no person rated an answer, only model judges did")
    last = {(rating.rater, rating.request, rating.turn): rating for rating in people}
    raters: dict[str, list[float]] = {}
    for rating in last.values():
        satisfied = (rating.value or 0) >= 4 if rating.scale == "stars" else rating.value == 1
        raters.setdefault(rating.rater, []).append(float(satisfied))
    marks = [mark for rater in raters.values() for mark in rater]
    judged = len(log.of(Rating)) - len(people)
    return Value(
        value=stats.mean(marks), n=len(marks), clusters=len(raters), unit_of_n="raters",
        ci=stats.wilson_clustered(list(raters.values())),
        ci_method="Wilson on the effective sample size over raters",
        detail="share of 4-5 stars or thumbs up",
        breakdown=[Table("ratings", ["population", "n"], [["people", len(marks)], ["model judges", judged]])],
    )  # fmt: skip


CELLS = [
    Cell("response_time", "training", "ms", "lower", (Step, Section), step_latency, command="shosei train --run RUN"),
    Cell(
        "response_time",
        "inference",
        "ms",
        "lower",
        (Request, Window),
        response_time,
        command="shosei load URL --run RUN",
    ),
    Cell("satisfaction", "training", "", "higher", (Rating,), satisfaction, absent="nobody rated an answer"),
    Cell("satisfaction", "inference", "", "higher", (Rating,), satisfaction, absent="nobody rated an answer"),
]
