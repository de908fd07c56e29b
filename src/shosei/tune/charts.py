"""The charts of a search: where trials, candidates and intervals stand, in percent of a width and a height."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shosei.metrics.metric import Text, text
from shosei.tune.report import Point, Report

_ROOM = 0.06  # of an axis, beyond its outermost points
_TICKS = 5  # about so many an axis
_FOOT = 3.0  # percent: where trials stand that measured nothing


@dataclass(frozen=True, slots=True)
class Axis:
    """Where values stand, in percent of a length."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float]) -> Axis:
        """One that shows all of ``values``, with some room; at least one value."""
        each = list(values)
        room = _ROOM * (max(each) - min(each)) or 1.0
        return cls(min(each) - room, max(each) + room)

    def at(self, value: float) -> float:
        """Percent from the low end."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> list[float]:
        """Round values on it: 1, 2 or 5 times a power of ten apart."""
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough)
        return [step * place for place in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a chart, in percent. ``place``: among the finalists, 0 for none. ``title``: for a pointer over it.

    ``is_kept``: it measured something and missed no limit, which the default may have, too.
    """

    x: float
    y: float
    shape: str  # default | finalist | other | missed | failed: told apart without colour
    place: int
    title: Text
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Marks between two axes, and the corners of a line."""

    x: Axis
    y: Axis
    marks: Sequence[Mark]
    corners: Sequence[tuple[float, float]]
    confirmed_from: float | None = None  # percent: where the search's trials end

    @property
    def lines(self) -> list[tuple[float, ...]]:
        """The line's pieces, from x, y to x, y."""
        return [(*begin, *end) for begin, end in pairwise(self.corners)]


def course(report: Report) -> Chart | None:
    """The gain of every trial, in their order; the line is the highest that the search had seen."""
    gains = [point.gain for point in report.points if point.gain is not None]
    if not gains:
        return None
    x, y = Axis(0, report.trials[-1].number + 1), Axis.over([0.0, report.begin.gain, *gains])
    marks, corners, highest = [], list[tuple[float, float]](), -math.inf
    for point in report.points:
        marks.append(_mark(report, point, x.at(point.trial.number), y))
        if point.gain is not None and point.gain > highest and point.trial.is_kept and point.trial.stage == "search":
            corners += [(marks[-1].x, corners[-1][1])] if corners else []
            corners.append((marks[-1].x, marks[-1].y))
            highest = point.gain
    confirmed = [trial.number for trial in report.trials if trial.stage == "confirm"]
    return Chart(x, y, marks, corners, x.at(confirmed[0] - 0.5) if confirmed else None)


def trade_off(report: Report) -> Chart | None:
    """Every candidate's gain in both figures; the line joins those that no other one beats in both (Pareto)."""
    points = [(point, point.gain or 0.0, point.second or 0.0) for point in report.candidates]
    if len(points) < 2:
        return None
    x = Axis.over([0.0, *(second for _, _, second in points)])
    y = Axis.over([0.0, report.begin.gain, *(gain for _, gain, _ in points)])
    marks = [_mark(report, point, x.at(second), y) for point, _, second in points]
    front: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: (-mark.x, -mark.y)):
        if mark.is_kept and (not front or mark.y > front[-1].y):
            front.append(mark)
    on_top = sorted(marks, key=lambda mark: (mark.shape == "default", mark.place))
    return Chart(x, y, on_top, [(mark.x, mark.y) for mark in front])


def effects(report: Report) -> Axis:
    """The axis of the finalists' gains: with their intervals and what the search believed."""
    ends = [end for finalist in report.finalists for end in (*finalist.interval, finalist.believed, finalist.gain)]
    return Axis.over([0.0, report.begin.gain, *(end for end in ends if end is not None)])


def _mark(report: Report, point: Point, x: float, y: Axis) -> Mark:
    trial = point.trial
    place = report.place(trial.candidate)
    shape = "finalist" if place else "other"
    if point.gain is None:
        shape = "failed"
    elif trial.candidate == report.begin.default:
        shape = "default"
    elif not point.trial.is_kept:
        shape = "missed"
    gain, candidate = report.gained(point.gain), report.changes(trial.candidate)
    title = text("tune.mark", number=trial.number, candidate=candidate, gain=gain)
    return Mark(x, _FOOT if point.gain is None else y.at(point.gain), shape, place, title, point.trial.is_kept)
