"""Times of one kind, in milliseconds: mean and percentiles with their intervals, and how they are drawn."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shosei.metrics import stats
from shosei.metrics.metric import Curve, Figure, Key, Plot, Row, Table, Text, Words, text

PERCENTS = (50, 90, 95, 99)
_BINS = 40
_POINTS = 200


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds, in clusters of neighbours in time that hold at least one value each."""

    clusters: Sequence[Sequence[float]]

    @classmethod
    def known(cls, clusters: Iterable[Sequence[float | None]]) -> Times:
        """Without the values that are not known, and without clusters that hold no others."""
        kept = [[value for value in cluster if value is not None] for cluster in clusters]
        return cls([cluster for cluster in kept if cluster])

    @property
    def values(self) -> list[float]:
        """All of them, in order of time."""
        return [value for cluster in self.clusters for value in cluster]

    def mean(self) -> Figure:
        """With its t interval over the clusters."""
        values = self.values
        tops, bottoms = [math.fsum(cluster) for cluster in self.clusters], [float(len(c)) for c in self.clusters]
        low, high = stats.ratio_interval(tops, bottoms)
        # No time is negative, but a symmetric interval of few values may be.
        return self._figure(stats.mean(values) if values else None, (None if low is None else max(0.0, low), high))

    def percentile(self, percent: int) -> Figure:
        """None where there are too few values for it."""
        return self._figure(stats.percentile(self.values, percent), stats.percentile_interval(self.clusters, percent))

    def row(self, name: Words) -> Row:
        """A line of ``table``."""
        values = self.values
        percentiles = [stats.percentile(values, percent) for percent in PERCENTS]
        return [name, stats.mean(values) if values else None, *percentiles, max(values, default=None), len(values)]

    def _figure(self, value: float | None, ci: stats.Interval) -> Figure:
        return Figure(value, "ms", "lower", ci, len(self.clusters))


def table(title: Key, rows: list[Row]) -> Table:
    """Rows of ``Times.row``."""
    percents = [text("term.percentile", percent=percent) for percent in PERCENTS]
    columns: list[Key | Text] = ["experience.milliseconds", "term.mean", *percents, "experience.slowest", "term.n"]
    return Table.of(title, columns, rows)


def unbounded(times: Times, failed: int) -> Row:
    """A line of ``table`` with the failed: what never succeeds has waited for ever, and JSON has no infinity."""
    waits = [*times.values, *[math.inf] * failed]
    found = [stats.percentile(waits, percent) for percent in PERCENTS]
    finite = [None if wait is None or math.isinf(wait) else wait for wait in found]
    mean, slowest = (None, None) if failed else (stats.mean(times.values), max(times.values))
    return [text("experience.failures_unbounded"), mean, *finite, slowest, len(waits)]


def too_few(values: Sequence[float]) -> list[Text]:
    """A note for each percentile that so few values do not support."""
    return [
        text("experience.percentile_needs", percent=percent, least=least, n=len(values))
        for percent, least in stats.PERCENTILE_MIN_N.items()
        if len(values) < least
    ]


def histogram(title: Key, values: Sequence[float], counted: Key) -> Plot:
    """Counts in equal bins up to p99; the last one also holds the few that are slower, so that they cannot hide
    the shape of the rest."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[math.ceil(0.99 * len(ordered)) - 1]
    width = (high - low) / _BINS or 1.0
    counts = [0.0] * _BINS
    for value in ordered:
        counts[min(_BINS - 1, int((value - low) / width))] += 1
    x = [low + index * width for index in range(_BINS)]
    return Plot.of(title, "term.ms", counted, x, [Curve(text(counted), list(counts))], kind="bars")


def cumulative(title: Key, kinds: Iterable[tuple[Key, Sequence[float]]]) -> Plot:
    """Which share of each kind of time lies within so many ms."""
    ordered = [(name, sorted(values)) for name, values in kinds if values]
    merged = sorted({value for _, values in ordered for value in values})
    step = math.ceil(len(merged) / _POINTS)
    x = merged[step - 1 :: step]
    curves = [Curve(text(name), [bisect_right(values, point) / len(values) for point in x]) for name, values in ordered]
    return Plot.of(title, "term.ms", "term.share", x, curves)


def over_time(title: Key, stretches: Sequence[Sequence[float]], seconds: float) -> Plot:
    """Median, p95 and slowest of each of equal stretches of ``seconds`` in all; a gap where too few values are."""
    curves = [Curve(f"p{percent}", [stats.percentile(values, percent) for values in stretches]) for percent in (50, 95)]
    curves.append(Curve(text("experience.slowest"), [max(values, default=None) for values in stretches]))
    drawn = [curve for curve in curves if any(value is not None for value in curve.y)]
    x = [index * seconds / len(stretches) for index in range(len(stretches))]
    return Plot.of(title, "term.seconds", "term.ms", x, drawn)


def percentile_figures(times: Times) -> dict[str, Figure]:
    """``p50`` to ``p99``, each refused where n is too small."""
    return {f"p{percent}": times.percentile(percent) for percent in PERCENTS}
