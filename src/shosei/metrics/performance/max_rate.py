"""The highest rate that a server bears, from the probes of a search for it."""

from __future__ import annotations

from dataclasses import dataclass

from shosei.log import Log, Window
from shosei.metrics.metric import Figure
from shosei.metrics.observed.requests import Drill, Offered, offered_load
from shosei.metrics.observed.saturation import KEEPING_UP, saturation
from shosei.metrics.service_level import ServiceLevel


@dataclass(frozen=True, slots=True)
class RateProbe:
    """A rate that was tried, with how many requests, and whether it was kept by server and client."""

    rate: float
    requests: int
    kept: bool
    client_bound: bool


@dataclass(frozen=True, slots=True)
class MaxRate:
    """``client_bound``: the search ended because the client could not offer more, so the server may bear more."""

    figure: Figure
    client_bound: bool


def probes(log: Log, service_level: ServiceLevel) -> list[RateProbe]:
    """The probes in order of time.

    A rate is kept where the server is not saturated and at least 95 % of the requests scheduled in the window succeed
    within every limit. A limit on what is not known, such as the first token of an answer that is not streamed, limits
    nothing.
    """
    vantage, requests = offered_load(log, "probe")
    found = []
    for window in log.of(Window):
        if window.name != "probe" or window.rate is None:
            continue
        load = Offered(window, Drill.of(log, window.boot), vantage, requests)
        good = int((~(load.scheduled.has("error") | service_level.broken(load.scheduled))).sum())
        kept = good > 0 and good >= KEEPING_UP * len(load.scheduled) and not saturation(load)
        found.append(RateProbe(window.rate, len(load.scheduled), kept and not window.invalid, bool(window.invalid)))
    return found


def max_rate(log: Log, service_level: ServiceLevel) -> MaxRate | None:
    """The highest rate kept of those below every rate missed, in requests/s; None where nobody searched."""
    tried = probes(log, service_level)
    if not tried:
        return None
    missed = min((probe.rate for probe in tried if not probe.kept), default=float("inf"))
    best = max((p for p in tried if p.kept and p.rate < missed), key=lambda probe: probe.rate, default=None)
    figure = Figure(best.rate if best else None, "requests/s", "higher", n=best.requests if best else 0)
    return MaxRate(figure, client_bound=any(probe.client_bound for probe in tried))
