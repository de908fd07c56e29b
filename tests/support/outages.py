"""Simulated loads on servers that fail at random or in outages, and how often an interval holds their rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shosei.metrics import stats
from shosei.metrics.stats import Interval


@dataclass(frozen=True)
class Load:
    """So many requests at random moments of so many seconds, of a server that fails at ``rate`` in the long run.

    Each request by itself, or all while an outage lasts: ``outage_s`` on average, exponential unless ``fixed``.
    """

    requests: int
    seconds: float
    rate: float
    outage_s: float = 0.0
    fixed: bool = False

    @property
    def bursts(self) -> float:
        """How many failures, or outages, such a load has on average."""
        if not self.outage_s:
            return self.requests * self.rate
        return self.seconds * self.rate / (1 - self.rate) / self.outage_s

    @property
    def none_fails(self) -> float:
        """The chance that the load sees no failure."""
        return (1 - self.rate) * np.exp(-self.bursts) if self.outage_s else (1 - self.rate) ** self.requests

    def drawn(self, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Moments in seconds, in order, and which of the requests fail."""
        moments = np.sort(draw.random(self.requests)) * self.seconds
        if not self.outage_s:
            return moments, draw.random(self.requests) < self.rate
        fails, now, is_down = np.zeros(self.requests, dtype=bool), 0.0, draw.random() < self.rate
        while now < self.seconds:
            lasts = self._outage(draw, begun=now > 0) if is_down else self._between(draw)
            fails |= is_down & (now <= moments) & (moments < now + lasts)
            now, is_down = now + lasts, not is_down
        return moments, fails

    def _outage(self, draw: np.random.Generator, *, begun: bool) -> float:
        """How long an outage lasts, or one under way at the beginning goes on."""
        if self.fixed:
            return self.outage_s if begun else self.outage_s * draw.random()
        return draw.exponential(self.outage_s)

    def _between(self, draw: np.random.Generator) -> float:
        return draw.exponential(self.outage_s * (1 - self.rate) / self.rate)


def batches(moments: np.ndarray, failed: np.ndarray, seconds: float, count: int) -> list[np.ndarray]:
    """The outcomes of each of ``count`` time batches."""
    ends = np.arange(1, count) * seconds / count
    return np.split(failed.astype(float), np.searchsorted(moments, ends))


def of_the_card(moments: np.ndarray, failed: np.ndarray, seconds: float) -> Interval:
    """The card's interval of an error rate."""
    return stats.share_in_time([batches(moments, failed, seconds, stats.time_batches_of(seconds))])


def of_forty_batches(moments: np.ndarray, failed: np.ndarray, seconds: float) -> Interval:
    """The interval of clustered outcomes, over 40 time batches whatever the length, which no burst may outlast."""
    return stats.wilson_clustered([batch for batch in batches(moments, failed, seconds, 40) if len(batch)])


Method = Callable[[np.ndarray, np.ndarray, float], Interval]


def coverage(load: Load, method: Method, repetitions: int, seed: int = 20261129) -> tuple[float, float]:
    """How often the interval holds the server's rate, and how wide it is on average."""
    draw = np.random.default_rng(seed)
    held, width = 0, 0.0
    for _ in range(repetitions):
        low, high = method(*load.drawn(draw), load.seconds)
        assert low is not None
        assert high is not None
        held += low <= load.rate <= high
        width += high - low
    return held / repetitions, width / repetitions
