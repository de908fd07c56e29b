"""A load as one vantage saw it within a window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shosei.log import Request, Window
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS
from shosei.metrics.metric import Figure
from shosei.metrics.performance.in_flight import growing
from shosei.metrics.series import by_time
from shosei.metrics.text import Text

KEEPING_UP = 0.95  # of the offered rate; below it the server is saturated


@dataclass(frozen=True, slots=True)
class Offered:
    """The requests of a load, and the window that is looked at."""

    window: Window
    vantage: Text
    requests: list[Request]

    @property
    def seconds(self) -> float:
        return (self.window.end_ns - self.window.begin_ns) / SECOND_NS

    @property
    def scheduled(self) -> list[Request]:
        """What should have been sent within the window."""
        return [r for r in self.requests if self.window.begin_ns <= r.scheduled_ns < self.window.end_ns]

    @property
    def good(self) -> list[Request]:
        """What succeeded and finished within the window."""
        finished = [r for r in self.requests if r.done_ns and self.window.begin_ns <= r.done_ns < self.window.end_ns]
        return [request for request in finished if not request.error]

    @property
    def grows(self) -> bool:
        """Whether the number of requests in flight grew through the window."""
        return growing(self.requests, self.window.begin_ns, self.window.end_ns)

    @property
    def saturated(self) -> bool:
        """Whether more was offered than was answered."""
        return len(self.good) < KEEPING_UP * len(self.scheduled) or self.grows

    def rate(self, counted: Iterable[tuple[Request, int]], unit: str) -> Figure:
        """What finishes a second, with an interval from time batches; ``n`` is how many of them hold any."""
        points = [(request.done_ns or 0, count) for request, count in counted]
        batches = [float(sum(batch)) for batch in by_time(points, self.window.begin_ns, self.window.end_ns)]
        interval = stats.ratio_interval(batches, [self.seconds / len(batches)] * len(batches))
        return Figure(sum(batches) / self.seconds, unit, "higher", interval, sum(batch > 0 for batch in batches))
