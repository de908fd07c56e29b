"""The highest rate that a server bears, from the probes of a search for it."""

from __future__ import annotations

from dataclasses import dataclass

from shosei.log import Log, Request, Window
from shosei.metrics.metric import Figure
from shosei.metrics.observed.faults import Drill
from shosei.metrics.observed.offered import KEEPING_UP, Offered
from shosei.metrics.observed.requests import outermost
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
    vantage, requests = outermost(
        request for request in log.of(Request) if request.purpose == "probe" and request.error != "cancelled"
    )
    found = []
    for window in log.of(Window):
        if window.name != "probe" or window.rate is None:
            continue
        load = Offered(window, Drill.of(log, window.boot), vantage, requests)
        good = [r for r in load.scheduled if not r.error and service_level.kept_by(r) is not False]
        kept = bool(good) and len(good) >= KEEPING_UP * len(load.scheduled) and not load.saturated
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
