"""Time series out of events: the steady window, time batches, and counters read from outside."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from shosei.log import Log, RunBegin, Sample, Window
from shosei.metrics.cell import Unmeasurable
from shosei.metrics.metric import Phase
from shosei.metrics.observed.bins import SECOND_NS
from shosei.metrics.stats import BATCHES

T = TypeVar("T")


def ran_here(log: Log, phase: Phase) -> list[RunBegin]:
    """The starts of verbs that ran or supervised the phase themselves, on a machine that this attempt so knows."""
    return [
        begin
        for begin in log.of(RunBegin)
        if begin.phase == phase and (begin.verb in ("train", "serve", "engine") or begin.verb.startswith("supervise:"))
    ]


@dataclass(frozen=True, slots=True)
class RatioBatches:
    """Non-overlapping batches of a ratio: a numerator and a denominator each."""

    tops: list[float]
    bottoms: list[float]

    def __len__(self) -> int:
        return len(self.tops)

    @classmethod
    def of_equal_count(cls, bottoms: Sequence[float], tops: Sequence[float]) -> RatioBatches:
        """Consecutive observations, batched by ``in_turn``."""
        return cls([sum(batch) for batch in in_turn(tops)], [sum(batch) for batch in in_turn(bottoms)])


def in_turn(values: Sequence[T]) -> list[Sequence[T]]:
    """Consecutive values in ``BATCHES`` batches of nearly equal count, at least two in each."""
    count = min(BATCHES, max(1, len(values) // 2))
    edges = [len(values) * index // count for index in range(count + 1)]
    return [values[a:b] for a, b in itertools.pairwise(edges)]


def steady_window(log: Log) -> Window:
    """The load's steady window. Raises Unmeasurable where there is none."""
    steady = [window for window in log.of(Window) if window.name == "steady" and window.end_ns > window.begin_ns]
    if not steady:
        raise Unmeasurable("not_measured", "performance.no_steady_window", "shosei load URL --seconds 30")
    return steady[-1]


def by_time(points: Iterable[tuple[int, T]], begin_ns: int, end_ns: int) -> list[list[T]]:
    """Values at points in time, sorted into ``BATCHES`` equal stretches from ``begin_ns`` to ``end_ns``."""
    stretches: list[list[T]] = [[] for _ in range(BATCHES)]
    for when, value in points:
        index = (when - begin_ns) * BATCHES // max(1, end_ns - begin_ns)
        stretches[min(BATCHES - 1, max(0, index))].append(value)
    return stretches


def by_child(samples: Iterable[Sample], scope: str = "tree") -> dict[str, list[Sample]]:
    """Samples of each process tree, in time order and on one clock. One supervisor and the child's name make a tree."""
    trees: dict[tuple[str, str, int, int, str], list[Sample]] = {}
    for sample in _on_one_clock([sample for sample in samples if sample.scope == scope]):
        trees.setdefault((sample.host, sample.boot, sample.pid, sample.start_ticks, sample.name), []).append(sample)
    names = [name for *_, name in trees]
    return {
        name if names.count(name) == 1 else f"{name} ({host} {pid}-{ticks})": sorted(tree, key=lambda it: it.mono_ns)
        for (host, _, pid, ticks, name), tree in trees.items()
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


def increments(tree: Sequence[Sample], counter: str) -> list[tuple[int, int, float]]:
    """``(begin_ns, end_ns, increase)`` between neighbouring samples. A counter that falls began anew with a restart."""
    known = {sample.mono_ns: getattr(sample, counter) for sample in tree if getattr(sample, counter) is not None}
    steps = []
    for (begin, before), (end, after) in itertools.pairwise(known.items()):
        steps.append((begin, end, float(after - before if after >= before else after)))
    return steps


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
                second = sample.mono_ns // SECOND_NS
                readings[second] = max(readings.get(second, 0), reading)
        if not readings:
            continue
        last = 0
        for second in range(min(readings), tree[-1].mono_ns // SECOND_NS + 1):
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
