"""Error rate: requests whose final state is an error, and optimiser steps that did not count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from shosei.log import Log, Request, Step
from shosei.metrics import stats
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.faults import Drill
from shosei.metrics.metric import Figure, Row, Table
from shosei.metrics.performance.steps import attempted
from shosei.metrics.series import by_time
from shosei.metrics.text import Text, Words, text
from shosei.metrics.units import Unit, Units, share
from shosei.metrics.vantage import outermost

_PURPOSES = ("load", "exam", "agents", "chat")  # what users of a server do; probes and warm-ups measure nothing
_ERRORS = {
    "timeout", "connect", "4xx", "429", "5xx", "cut stream", "empty", "invalid tool call", "context limit",
    "disconnect", "budget",
}  # fmt: skip


def step_errors(log: Log) -> Value:
    """Optimiser steps with a non-finite loss or gradient, or skipped, per step attempted.

    A step goes wrong on one rank or on all: its ranks are one step.
    """
    steps = attempted(log.of(Step))
    if any(step.finite and step.loss is None for ranks in steps for step in ranks):
        raise Unmeasurable("not_measured", text("reliability.loss_unknown"))
    bad = sum(map(_is_bad, steps))
    return Value(
        value=bad / len(steps), n=len(steps), clusters=len(steps), unit_of_n=text("reliability.steps"),
        ci=stats.wilson(bad, len(steps)), ci_method=text("reliability.wilson"),
        detail=text("reliability.bad_steps_per_step"), notes=[text("reliability.raised_steps")],
        breakdown=[Table(text("reliability.steps"), [text("term.quantity"), "n"], [
            [text("reliability.attempted"), len(steps)],
            [text("reliability.non_finite"), sum(not all(step.finite for step in ranks) for ranks in steps)],
            [text("reliability.skipped"), sum(any(step.skipped for step in ranks) for ranks in steps)],
        ])],
    )  # fmt: skip


def step_units(log: Log) -> Units:
    """One a step attempted."""
    units = []
    for place, ranks in enumerate(attempted(log.of(Step))):
        key = f"{place} step {ranks[0].step}"
        units.append(Unit(key, key, {"top": float(_is_bad(ranks)), "bottom": 1.0}))
    return Units(units, share, paired=False)


def _is_bad(ranks: Sequence[Step]) -> bool:
    return any(not step.finite or step.skipped for step in ranks)


def request_errors(log: Log) -> Value:
    """Requests whose final state is an error, per request started, those that the harness cancelled left out.

    The requests of one vantage, the outermost in the log. Neighbours in time fail together, so the interval is over
    time batches.
    """
    vantage, batches, cancelled = _batches(log)
    counted = [request for batch in batches.values() for request in batch]
    if not counted:
        raise Unmeasurable("not_measured", text("reliability.no_requests"))
    before = _rate(batches, _failed_first)
    notes = [text("reliability.seen_by", vantage=vantage)]
    if cancelled:
        notes.append(text("reliability.cancelled", count=cancelled))
    figure = Figure(before, "", "lower", _interval(batches, _failed_first), len(batches))
    return Value(
        value=_rate(batches, _failed), n=len(counted), clusters=len(batches), unit_of_n=text("term.time_batches"),
        ci=_interval(batches, _failed), ci_method=text("reliability.wilson_time_batches"),
        detail=text("reliability.failed_per_request"), figures={"before_retry": figure},
        notes=notes,
        breakdown=[_by_type(counted), _parts(batches, log)],
    )  # fmt: skip


def request_units(log: Log) -> Units:
    """One a request; those of one time batch are not independent."""
    units = [
        Unit(f"{request.purpose} {request.id} {place}", cluster, {"top": _failed(request), "bottom": 1.0})
        for cluster, batch in _batches(log)[1].items()
        for place, request in enumerate(batch)
    ]
    return Units(units, share, paired=False)


def _batches(log: Log) -> tuple[Text, dict[str, list[Request]], int]:
    """Who saw the requests that count, they in time batches of each purpose, and how many were cancelled."""
    vantage, seen = outermost(request for request in log.of(Request) if request.purpose in _PURPOSES)
    counted = [request for request in seen if request.error != "cancelled"]
    batches = {}
    for purpose in sorted({request.purpose for request in counted}):
        points = [(request.scheduled_ns, request) for request in counted if request.purpose == purpose]
        times = [when for when, _ in points]
        for place, batch in enumerate(by_time(points, min(times), max(times))):
            if batch:
                batches[f"{purpose} {place}"] = batch
    return vantage, batches, len(seen) - len(counted)


def _failed(request: Request) -> float:
    return float(bool(request.error))


def _failed_first(request: Request) -> float:
    """Whether it failed before any retry."""
    return float(bool(request.error or request.first_try_error or request.tries > 1))


def _rate(batches: dict[str, list[Request]], outcome: Callable[[Request], float]) -> float:
    return stats.mean([outcome(request) for batch in batches.values() for request in batch])


def _interval(batches: dict[str, list[Request]], outcome: Callable[[Request], float]) -> stats.Interval:
    return stats.wilson_clustered([[outcome(request) for request in batch] for batch in batches.values()])


def _by_type(counted: Sequence[Request]) -> Table:
    """Final states by purpose; those that succeeded in a row of their own."""
    totals = Counter(request.purpose for request in counted)
    types = Counter((request.purpose, request.error) for request in counted)
    rows: list[Row] = [
        [text(f"purpose.{purpose}"), failure(error), count, count / totals[purpose]]
        for (purpose, error), count in sorted(types.items())
    ]
    columns: list[Words] = [
        text("reliability.purpose"), text("reliability.error"), "n", text("reliability.share_of_purpose"),
    ]  # fmt: skip
    return Table(text("reliability.by_type"), columns, rows)


def failure(error: str) -> Words:
    """What a request's final state is called."""
    if not error:
        return text("reliability.no_error")
    return text("reliability.failed." + error.replace(" ", "_")) if error in _ERRORS else error


def _parts(batches: dict[str, list[Request]], log: Log) -> Table:
    """All requests, the same before retries, and those scheduled while an injected fault lasted."""
    drills = {boot: Drill.of(log, boot) for boot in {request.boot for batch in batches.values() for request in batch}}
    apart: dict[str, list[Request]] = {}
    for key, batch in batches.items():
        if inside := [request for request in batch if drills[request.boot].covers(request.scheduled_ns)]:
            apart[key] = inside
    rows: list[Row] = [
        _part("all_requests", batches, _failed),
        _part("before_retries", batches, _failed_first),
        *([_part("during_faults", apart, _failed)] if apart else []),
    ]
    columns = [
        text("reliability.part"), text("reliability.error_rate"), text("term.low_95"), text("term.high_95"),
        text("reliability.errors"), text("reliability.requests"),
    ]  # fmt: skip
    return Table(text("reliability.parts"), columns, rows)


def _part(name: str, batches: dict[str, list[Request]], outcome: Callable[[Request], float]) -> Row:
    outcomes = [outcome(request) for batch in batches.values() for request in batch]
    return [
        text(f"reliability.{name}"), stats.mean(outcomes), *_interval(batches, outcome), int(sum(outcomes)),
        len(outcomes),
    ]  # fmt: skip
