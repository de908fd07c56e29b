"""Reliability: crash rate, restart count, error rate."""

from __future__ import annotations

from collections import Counter

from shosei.log import Log, ProcExit, ProcStart, Request, Restart, Step
from shosei.metrics import stats
from shosei.metrics.cell import Cell, Unmeasurable, Value
from shosei.metrics.metric import Row, Table
from shosei.metrics.series import by_time


def crash_rate(log: Log) -> Value:
    """Unplanned ends per process start, as the supervisor saw them."""
    starts, exits = log.of(ProcStart), log.of(ProcExit)
    crashes = [end for end in exits if not end.planned]
    hours = sum(end.duration_ns for end in exits) / 3.6e12
    low, high = stats.poisson(len(crashes))
    causes: list[Row] = [
        [child, cause, count] for (child, cause), count in sorted(Counter((e.child, e.cause) for e in exits).items())
    ]
    per_hours: list[Row] = [
        ["process hours", hours],
        ["crashes", len(crashes)],
        ["crashes per 1000 h", 1000 * len(crashes) / hours if hours else None],
        ["95% low", 1000 * (low or 0) / hours if hours else None],
        ["95% high", 1000 * (high or 0) / hours if hours else None],
        ["mean time between failures (h)", hours / len(crashes) if crashes else None],
    ]
    return Value(
        value=len(crashes) / len(starts), n=len(starts), clusters=len(starts), unit_of_n="process starts",
        ci=stats.wilson(len(crashes), len(starts)), ci_method="Wilson", detail="unplanned ends per process start",
        breakdown=[
            Table("ends", ["process", "cause", "n"], causes),
            Table("over time (exact Poisson)", ["quantity", "value"], per_hours),
        ],
    )  # fmt: skip


def restart_count(log: Log) -> Value:
    """Restarts after failures and by the watchdog, from the supervisor's own counters."""
    last = {(event.pid, event.child): event for event in log.of(Restart)}
    kinds = ("failure", "watchdog", "membership", "planned", "manual")
    rows: list[Row] = [[child, *(getattr(event, kind) for kind in kinds)] for (_, child), event in sorted(last.items())]
    count = sum(event.failure + event.watchdog for event in last.values())
    starts = len(last) + sum(sum(getattr(event, kind) for kind in kinds) for event in last.values())
    return Value(
        value=float(count), n=starts, clusters=starts, unit_of_n="process starts", ci=stats.poisson(count),
        ci_method="exact Poisson", detail="restarts after failure or by the watchdog",
        breakdown=[Table("restarts", ["process", *kinds], rows)],
    )  # fmt: skip


def step_errors(log: Log) -> Value:
    """Optimiser steps with a non-finite loss or gradient, or skipped, per step attempted."""
    steps = log.of(Step)
    bad = [step for step in steps if not step.finite or step.skipped]
    return Value(
        value=len(bad) / len(steps), n=len(steps), clusters=len(steps), unit_of_n="steps",
        ci=stats.wilson(len(bad), len(steps)), ci_method="Wilson", detail="non-finite or skipped steps per step",
        breakdown=[Table("steps", ["quantity", "n"], [
            ["attempted", len(steps)],
            ["non-finite", sum(not step.finite for step in steps)],
            ["skipped", sum(step.skipped for step in steps)],
        ])],
    )  # fmt: skip


def request_errors(log: Log) -> Value:
    """Requests whose final state is an error, per request started, those that the harness cancelled left out."""
    measured = [r for r in log.of(Request) if r.seen_by == "client" and r.purpose in ("load", "exam", "agents")]
    counted = [request for request in measured if request.error != "cancelled"]
    if not counted:
        raise Unmeasurable("not_measured", "no request of a load, exam or agents run is in this attempt")
    failed = [request for request in counted if request.error]
    types: list[Row] = [
        [purpose, error or "none", count]
        for (purpose, error), count in sorted(Counter((r.purpose, r.error) for r in counted).items())
    ]
    clusters = _outages(counted)
    first = sum(bool(request.first_try_error) for request in counted) / len(counted)
    return Value(
        value=len(failed) / len(counted), n=len(counted), clusters=len(clusters), unit_of_n="time batches",
        ci=stats.wilson_clustered(clusters), ci_method="Wilson on the effective sample size over time batches",
        detail="failed requests per request started",
        breakdown=[
            Table("by type", ["purpose", "error", "n"], types),
            Table("retries", ["quantity", "value"], [["error rate before retries", first]]),
        ],
    )  # fmt: skip


def _outages(requests: list[Request]) -> list[list[float]]:
    """1 for each failed request and 0 for the others, in time batches of each purpose: failures come in bursts."""
    clusters = []
    for purpose in sorted({request.purpose for request in requests}):
        points = [(r.scheduled_ns, float(bool(r.error))) for r in requests if r.purpose == purpose]
        times = [when for when, _ in points]
        clusters += [batch for batch in by_time(points, min(times), max(times)) if batch]
    return clusters


_TRAIN = "shosei supervise --run RUN -- shosei train --run RUN"
_SERVE = "shosei serve RUN --run RUN"

CELLS = [
    Cell("crash_rate", "training", "per start", "lower", (ProcStart, ProcExit), crash_rate, command=_TRAIN),
    Cell("crash_rate", "inference", "per start", "lower", (ProcStart, ProcExit), crash_rate, command=_SERVE),
    Cell("restart_count", "training", "restarts", "lower", (Restart,), restart_count, command=_TRAIN),
    Cell("restart_count", "inference", "restarts", "lower", (Restart,), restart_count, command=_SERVE),
    Cell("error_rate", "training", "", "lower", (Step,), step_errors, command="shosei train --run RUN"),
    Cell("error_rate", "inference", "", "lower", (Request,), request_errors, command="shosei load URL --run RUN"),
]
