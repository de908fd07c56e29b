"""Time series out of events: the steady window, time batches, bins, and counters read from outside."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np

from shosei.log import Log, RunBegin, Sample
from shosei.log.process import ProcessKey
from shosei.metrics.metric import Phase, text
from shosei.metrics.stats import BATCHES
from shosei.metrics.value import Unmeasurable
from shosei.quantity import NS_PER_S

T = TypeVar("T")
Increments = tuple[np.ndarray, np.ndarray, np.ndarray]  # begin_ns, end_ns, and by how much a counter rose in between

_POINTS = 300  # a plot needs no more
_DAY_NS = 24 * 3600 * NS_PER_S
_LONGEST_NS = 366 * _DAY_NS
_AT_ONCE = 2**13  # increments that are spread over bins at once


def ran_here(log: Log, phase: Phase) -> list[RunBegin]:
    """The starts of verbs that ran or supervised the phase themselves, on a machine that this attempt so knows."""
    return [
        begin
        for begin in log.of(RunBegin)
        if begin.phase == phase and (begin.verb in ("train", "serve", "engine") or begin.verb.startswith("supervise:"))
    ]


def check_span(begin_ns: int, end_ns: int) -> None:
    """Raise Unmeasurable where seconds are to be counted between two samples that no attempt has so far apart."""
    if end_ns - begin_ns > _LONGEST_NS:
        days = (end_ns - begin_ns) // _DAY_NS
        raise Unmeasurable("invalid", text("resources.samples_apart", days=days, most=_LONGEST_NS // _DAY_NS))


@dataclass(frozen=True, slots=True)
class Bins:
    """``count`` stretches of ``width_ns`` from ``begin_ns``."""

    begin_ns: int
    width_ns: int
    count: int

    @classmethod
    def seconds(cls, begin_ns: int, end_ns: int) -> Bins:
        """The whole seconds from ``begin_ns``; what is left over at the end is not a second."""
        check_span(begin_ns, end_ns)
        return cls(begin_ns, NS_PER_S, max(0, end_ns - begin_ns) // NS_PER_S)

    @classmethod
    def for_plot(cls, begin_ns: int, end_ns: int) -> Bins:
        """At most 300 equal stretches, each of a second or more, that cover all from ``begin_ns`` to ``end_ns``."""
        span = max(1, end_ns - begin_ns)
        count = min(_POINTS, max(1, span // NS_PER_S))
        return cls(begin_ns, -(-span // count), count)

    @property
    def x(self) -> list[float]:
        """Where each stretch begins, in seconds after ``begin_ns``."""
        return [index * self.width_ns / NS_PER_S for index in range(self.count)]

    def totals(self, increments: Increments) -> list[float]:
        """What falls into each stretch of the increments, each spread evenly over its time."""
        totals = np.zeros(self.count)
        for first_row in range(0, len(increments[0]), _AT_ONCE):
            since, until, increase = (column[first_row : first_row + _AT_ONCE] for column in increments)
            first = np.maximum(0, (since - self.begin_ns) // self.width_ns)
            last = np.minimum(self.count, -((self.begin_ns - until) // self.width_ns))
            reached = np.maximum(0, last - first)
            row = np.repeat(np.arange(len(since)), reached)
            index = np.arange(len(row)) + (first - np.cumsum(reached) + reached)[row]
            left = self.begin_ns + index * self.width_ns
            overlap = np.minimum(until[row], left + self.width_ns) - np.maximum(since[row], left)
            np.add.at(totals, index, increase[row] * (overlap / (until - since)[row]))
        return totals.tolist()

    def rates(self, increments: Increments) -> list[float | None]:
        """``totals`` a second; None in a stretch that no increment reaches."""
        since, until, increase = increments
        reached = self.totals((since, until, np.ones(len(increase))))
        return [
            total / (self.width_ns / NS_PER_S) if share > 0 else None
            for total, share in zip(self.totals(increments), reached, strict=True)
        ]

    def highest(self, readings: Mapping[int, float]) -> list[float | None]:
        """The highest reading of each stretch, given readings by second of the clock; None where there is none."""
        found: list[float | None] = [None] * self.count
        for second, reading in readings.items():
            index = (second * NS_PER_S - self.begin_ns) // self.width_ns
            if 0 <= index < self.count:
                found[index] = max(found[index] or 0.0, reading)
        return found


@dataclass(frozen=True, slots=True)
class RatioBatches:
    """Non-overlapping batches of a ratio: a numerator and a denominator each."""

    tops: list[float]
    bottoms: list[float]

    def __len__(self) -> int:
        return len(self.tops)

    @classmethod
    def of_equal_count(cls, *, tops: Sequence[float], bottoms: Sequence[float]) -> RatioBatches:
        """Consecutive observations, batched by ``in_turn``."""
        return cls([sum(batch) for batch in in_turn(tops)], [sum(batch) for batch in in_turn(bottoms)])


def in_turn(values: Sequence[T]) -> list[Sequence[T]]:
    """Consecutive values in ``BATCHES`` batches of nearly equal count, at least two in each."""
    count = min(BATCHES, max(1, len(values) // 2))
    edges = [len(values) * index // count for index in range(count + 1)]
    return [values[a:b] for a, b in itertools.pairwise(edges)]


def by_child(samples: Iterable[Sample], scope: str = "tree") -> dict[str, list[Sample]]:
    """Samples of each process tree, in time order and on one clock. One supervisor and the child's name make a tree."""
    trees: dict[tuple[ProcessKey, str], list[Sample]] = {}
    for sample in _on_one_clock([sample for sample in samples if sample.scope == scope]):
        trees.setdefault((sample.process, sample.name), []).append(sample)
    names = [name for _, name in trees]
    return {
        name if names.count(name) == 1 else f"{name} ({host} {pid}-{ticks})": sorted(tree, key=lambda it: it.mono_ns)
        for ((host, _, pid, ticks), name), tree in trees.items()
    }


def _on_one_clock(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples by the first boot's monotonic clock: what several machines used at once can be added up.

    Wall clocks, read once a boot, join them; within a boot only its monotonic clock counts.
    """
    first: dict[str, Sample] = {}
    for sample in samples:
        first.setdefault(sample.boot, sample)
    booted = {boot: sample.wall_ns - sample.mono_ns for boot, sample in first.items()}
    if len(booted) < 2:
        return samples
    reference = next(iter(booted.values()))
    return [
        msgspec.structs.replace(sample, mono_ns=sample.mono_ns + booted[sample.boot] - reference) for sample in samples
    ]


def increments(*trees: Sequence[Sample], counter: str) -> Increments:
    """A counter's increase between neighbouring samples of each tree. One that falls started again with a restart."""
    steps = []
    for tree in trees:
        known = {sample.mono_ns: getattr(sample, counter) for sample in tree if getattr(sample, counter) is not None}
        for (begin, before), (end, after) in itertools.pairwise(known.items()):
            steps.append((begin, end, after - before if after >= before else after))
    begins, ends, increases = np.array(steps, dtype=np.int64).reshape(-1, 3).T
    return begins, ends, increases.astype(float)


def joined(counted: Iterable[Increments]) -> Increments:
    """Increments of several counters, one after another."""
    begins, ends, increases = map(np.concatenate, zip(*counted, strict=True))
    return begins, ends, increases


def per_second(trees: dict[str, list[Sample]], gauge: str) -> dict[int, int]:
    """The sum over trees of a gauge, by second of the monotonic clock.

    Within a second the highest reading counts. A tree that was not read in a second keeps its last reading until its
    last sample: trees are read at different moments, and costly gauges not every time.
    """
    total: dict[int, int] = {}
    for tree in trees.values():
        readings: dict[int, int] = {}
        for sample in tree:
            if (reading := getattr(sample, gauge)) is not None:
                second = sample.mono_ns // NS_PER_S
                readings[second] = max(readings.get(second, 0), reading)
        if not readings:
            continue
        check_span(NS_PER_S * min(readings), tree[-1].mono_ns)
        last = 0
        for second in range(min(readings), tree[-1].mono_ns // NS_PER_S + 1):
            last = readings.get(second, last)
            total[second] = total.get(second, 0) + last
    return dict(sorted(total.items()))


def weighted(meter: Sequence[Sample], gauge: str) -> list[tuple[int, int, float]]:
    """``(begin_ns, end_ns, reading)``: each reading stands for the time since the one before it."""
    known = [(sample.mono_ns, getattr(sample, gauge)) for sample in meter if getattr(sample, gauge) is not None]
    return [(begin, end, float(reading)) for (begin, _), (end, reading) in itertools.pairwise(known)]


def process_trees(log: Log) -> dict[str, list[Sample]]:
    """Samples of each supervised process tree. Raises Unmeasurable where nothing ran under a supervisor."""
    trees = by_child(log.of(Sample))
    if not trees:
        raise Unmeasurable("not_measured", "resources.unsupervised")
    return trees
