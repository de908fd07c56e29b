"""The search for the highest rate that a server bears: probes at rising rates, then between kept and missed ones."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from shosei.load.config import LoadConfig
from shosei.log import Note, Writer, read_log
from shosei.metrics.performance.max_rate import RateProbe, probes
from shosei.metrics.service_level import ServiceLevel

_LEAST_REQUESTS = 60  # of a probe: a 95th percentile needs 59
_CLOSE_ENOUGH = 1.05  # a missed rate over a kept one
_MOST_PROBES = 16
_LOWEST_RATE = 0.01


async def find_max(
    config: LoadConfig,
    writer: Writer,
    service_level: ServiceLevel | None,
    offer: Callable[[LoadConfig], Awaitable[None]],
) -> float | None:
    """Offer probes, the first at ``config.rate``; return the highest rate that was kept, or None.

    Each probe is judged as the card will judge it, by reading the log; the verdict only decides the next rate.
    """
    service_level = service_level or ServiceLevel()
    kept: float | None = None
    missed: float | None = None
    rate = config.rate
    for number in range(1, _MOST_PROBES + 1):
        seconds = max(config.probe_s, _LEAST_REQUESTS / rate)
        await offer(config.model_copy(update={"rate": rate, "seconds": seconds, "seed": config.seed + number}))
        probe = _latest(writer, service_level)
        writer.emit(
            Note(level="info", text=f"probe {number}: {rate:g} requests/s {'kept' if probe.kept else 'missed'}")
        )
        if probe.kept:
            kept = rate
        else:
            missed = rate
        if probe.client_bound or (kept and missed and missed / kept <= _CLOSE_ENOUGH) or rate < _LOWEST_RATE:
            break
        rate = _next(kept, missed)
    return kept


def _next(kept: float | None, missed: float | None) -> float:
    """The geometric mean of the two, or twice or half of the only one."""
    return math.sqrt((kept or (missed or 0) / 4) * (missed or (kept or 0) * 4))


def _latest(writer: Writer, service_level: ServiceLevel) -> RateProbe:
    writer.flush()
    return probes(read_log(writer.path.parent, writer.attempt), service_level)[-1]
