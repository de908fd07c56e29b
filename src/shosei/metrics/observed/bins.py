"""Equal stretches of time: the bins of a plot over time and of a percentile over seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SECOND_NS = 1_000_000_000
_POINTS = 300  # a plot needs no more


@dataclass(frozen=True, slots=True)
class Bins:
    """``count`` stretches of ``width_ns`` from ``begin_ns``."""

    begin_ns: int
    width_ns: int
    count: int

    @classmethod
    def seconds(cls, begin_ns: int, end_ns: int) -> Bins:
        """The whole seconds from ``begin_ns``; what is left over at the end is not a second."""
        return cls(begin_ns, SECOND_NS, max(0, end_ns - begin_ns) // SECOND_NS)

    @classmethod
    def for_plot(cls, begin_ns: int, end_ns: int) -> Bins:
        """At most 300 equal stretches, each of a second or more, that cover all from ``begin_ns`` to ``end_ns``."""
        span = max(1, end_ns - begin_ns)
        count = min(_POINTS, max(1, span // SECOND_NS))
        return cls(begin_ns, -(-span // count), count)

    @property
    def x(self) -> list[float]:
        """Where each stretch begins, in seconds after ``begin_ns``."""
        return [index * self.width_ns / SECOND_NS for index in range(self.count)]

    def totals(self, increments: Iterable[tuple[int, int, float]]) -> list[float]:
        """What falls into each stretch of ``(begin_ns, end_ns, increase)``, each spread evenly over its time."""
        totals = [0.0] * self.count
        for since, until, increase in increments:
            first = max(0, (since - self.begin_ns) // self.width_ns)
            last = min(self.count, -((self.begin_ns - until) // self.width_ns))
            for index in range(first, last):
                left = self.begin_ns + index * self.width_ns
                overlap = min(until, left + self.width_ns) - max(since, left)
                totals[index] += increase * (overlap / (until - since))
        return totals

    def rates(self, increments: Sequence[tuple[int, int, float]]) -> list[float | None]:
        """``totals`` a second; None in a stretch that no increment reaches."""
        reached = self.totals([(since, until, 1.0) for since, until, _ in increments])
        return [
            total / (self.width_ns / SECOND_NS) if share > 0 else None
            for total, share in zip(self.totals(increments), reached, strict=True)
        ]

    def highest(self, readings: Mapping[int, float]) -> list[float | None]:
        """The highest reading of each stretch, given readings by second of the clock; None where there is none."""
        found: list[float | None] = [None] * self.count
        for second, reading in readings.items():
            index = (second * SECOND_NS - self.begin_ns) // self.width_ns
            if 0 <= index < self.count:
                found[index] = max(found[index] or 0.0, reading)
        return found
