"""Where a moment of the timeline stands on the page: to scale, but for long pauses, in which nothing ran."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right

from shosei.card.timeline import Timeline
from shosei.quantity import number

_LONG = 0.3  # a pause longer than this share of all working time is cut short
_CUT = 0.04  # to this share
_LAST_TICK = 97.0  # percent: a label beyond it has no room
_MOMENTS = [(86400, "d"), (3600, "h"), (60, "min")]
_TICKS = [
    *(1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200),
    *(days * 86400 for days in (1, 2, 5, 10, 30, 100)),
]  # seconds


class Axis:
    """``ticks`` and ``pauses`` are at percent of the width; a pause is (from, width, seconds)."""

    def __init__(self, timeline: Timeline) -> None:
        stretches = _busy(timeline)
        working = sum(end - begin for begin, end in stretches) or 1.0
        # Corners of a line, from real seconds to drawn ones.
        self._real, self._drawn = [0.0], [0.0]
        cuts = []
        for (_, before), (after, _) in itertools.pairwise([*stretches, (timeline.seconds, timeline.seconds)]):
            if after - before > _LONG * working:
                self._corner(before, self._drawn[-1] + before - self._real[-1])
                self._corner(after, self._drawn[-1] + _CUT * working)
                cuts.append((before, after))
        self._corner(timeline.seconds, self._drawn[-1] + timeline.seconds - self._real[-1])
        self.pauses = [(self.at(before), self.at(after) - self.at(before), after - before) for before, after in cuts]
        first = cuts[0][0] if cuts else timeline.seconds
        self.ticks = [(self.at(seconds), label) for seconds, label in _ticks(first) if self.at(seconds) < _LAST_TICK]
        self.ticks += [(self.at(after), moment(after)) for _, after in cuts]

    def at(self, seconds: float) -> float:
        """Percent of the width."""
        corner = min(bisect_right(self._real, seconds), len(self._real) - 1)
        begin, end = self._real[corner - 1], self._real[corner]
        share = (seconds - begin) / (end - begin) if end > begin else 0.0
        drawn = self._drawn[corner - 1] + share * (self._drawn[corner] - self._drawn[corner - 1])
        return round(100 * drawn / (self._drawn[-1] or 1.0), 3)

    def width(self, begin: float, end: float) -> float:
        """Percent of the width between two moments."""
        return round(self.at(end) - self.at(begin), 3)

    def _corner(self, real: float, drawn: float) -> None:
        self._real.append(real)
        self._drawn.append(drawn)


def moment(seconds: float) -> str:
    """Time since a beginning, to about three digits."""
    size, name = next((step for step in _MOMENTS if seconds >= 2 * step[0]), (1, "s"))
    return f"{number(seconds / size, 0 if seconds % size == 0 else 1)} {name}"


def _ticks(seconds: float) -> list[tuple[float, str]]:
    """Round moments from 0 to ``seconds``, about ten at most: where, and what to write there."""
    step = next((step for step in _TICKS if seconds / step <= 9), _TICKS[-1])
    return [(float(at), moment(at)) for at in range(0, math.floor(seconds) + 1, step)]


def _busy(timeline: Timeline) -> list[tuple[float, float]]:
    """The stretches in which something ran, in order and apart."""
    merged: list[tuple[float, float]] = []
    for begin, end in sorted((bar.begin, bar.end) for lane in timeline.lanes for bar in lane.bars):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
