"""How often the supervisor had to start a process again."""

from __future__ import annotations

from collections.abc import Sequence

from shosei.log import Log, Restart
from shosei.metrics import stats
from shosei.metrics.metric import Row, Table
from shosei.metrics.stats.observations import Observation, Observations, total
from shosei.metrics.value import Value

_KINDS = ("failure", "watchdog", "membership", "planned", "manual")


def restart_count(log: Log) -> Value:
    """Restarts after failures and by the watchdog, from the supervisor's own counters."""
    last = _last_counters(log)
    rows: list[Row] = [[event.child, *(getattr(event, kind) for kind in _KINDS)] for event in last]
    count = sum(event.failure + event.watchdog for event in last)
    started = len(last) + sum(getattr(event, kind) for event in last for kind in _KINDS)
    columns = ["reliability.process", *(f"reliability.by_{kind}" for kind in _KINDS)]
    return Value(
        value=float(count),
        observations=_observations(last),
        n=started,
        clusters=started,
        unit_of_n="reliability.process_starts",
        ci=stats.poisson(count),
        ci_method="reliability.exact_poisson",
        detail="reliability.restarts_counted",
        breakdown=[Table.of("reliability.restarts", columns, rows)],
    )


def _observations(last: Sequence[Restart]) -> Observations:
    """One a process start: the first of each process, and each restart."""
    each = []
    for place, event in enumerate(last):
        kinds = ["first", *(kind for kind in _KINDS for _ in range(getattr(event, kind)))]
        for number, kind in enumerate(kinds):
            key = f"{place} {event.child} {number}"
            each.append(Observation(key, key, {"top": float(kind in ("failure", "watchdog")), "bottom": 1.0}))
    return Observations(each, total, paired=False)


def _last_counters(log: Log) -> list[Restart]:
    """The last state of each process's counters."""
    last = {(event.child, event.process): event for event in log.of(Restart)}
    return [last[key] for key in sorted(last)]
