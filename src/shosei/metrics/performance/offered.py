"""A load as one vantage saw it within a window."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from shosei.log import Request, Window
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS
from shosei.metrics.faults import Drill
from shosei.metrics.metric import Figure
from shosei.metrics.performance.in_flight import growing
from shosei.metrics.series import by_time
from shosei.metrics.text import Text

KEEPING_UP = 0.95  # of the offered rate; below it the server is saturated


@dataclass(frozen=True, slots=True)
class Offered:
    """The requests of a load, and the window that is looked at, from which injected faults are cut out."""

    window: Window
    drill: Drill
    vantage: Text
    requests: list[Request]

    @property
    def seconds(self) -> float:
        return math.fsum(self.stretches)

    @property
    def stretches(self) -> list[float]:
        """Seconds of each time batch, without faults."""
        begin, width = self.window.begin_ns, (self.window.end_ns - self.window.begin_ns) / stats.BATCHES
        edges = [begin + index * width for index in range(stats.BATCHES + 1)]
        return [(end - begin) / SECOND_NS - self.drill.seconds(begin, end) for begin, end in itertools.pairwise(edges)]

    @property
    def scheduled(self) -> list[Request]:
        """What should have been sent within the window."""
        return [request for request in self.requests if self._counts(request.scheduled_ns)]

    @property
    def good(self) -> list[Request]:
        """What succeeded and finished within the window."""
        return [request for request in self.requests if not request.error and self._counts(request.done_ns or 0)]

    @property
    def grows(self) -> bool:
        """Whether the number of requests in flight grew through the window; not told of one with faults."""
        return not self.drill.stretches and growing(self.requests, self.window.begin_ns, self.window.end_ns)

    @property
    def saturated(self) -> bool:
        """Whether more was offered than was answered."""
        return len(self.good) < KEEPING_UP * len(self.scheduled) or self.grows

    def _counts(self, when_ns: int) -> bool:
        return self.window.begin_ns <= when_ns < self.window.end_ns and not self.drill.covers(when_ns)

    def rate(self, counted: Iterable[tuple[Request, int]], unit: str) -> Figure:
        """What finishes a second, with an interval from time batches; ``n`` is how many of them hold any."""
        points = [(request.done_ns or 0, count) for request, count in counted]
        batches = [float(sum(batch)) for batch in by_time(points, self.window.begin_ns, self.window.end_ns)]
        known = [(top, seconds) for top, seconds in zip(batches, self.stretches, strict=True) if seconds > 0]
        interval = stats.ratio_interval([top for top, _ in known], [seconds for _, seconds in known])
        return Figure(sum(batches) / self.seconds, unit, "higher", interval, sum(batch > 0 for batch in batches))
