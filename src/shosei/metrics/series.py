"""Time series out of events: the steady window, time batches, and counters read from outside."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shosei.log import Log, Sample, Window
from shosei.metrics.cell import Unmeasurable
from shosei.metrics.stats import BATCHES


@dataclass(frozen=True, slots=True)
class Batches:
    """Non-overlapping batches of a ratio: a numerator and a denominator each."""

    tops: list[float]
    bottoms: list[float]

    def __len__(self) -> int:
        return len(self.tops)

    @classmethod
    def of_equal_count(cls, bottoms: Sequence[float], tops: Sequence[float]) -> Batches:
        """Consecutive observations in ``BATCHES`` batches of nearly equal count, or one each where there are fewer."""
        count = min(BATCHES, len(tops))
        edges = [len(tops) * index // count for index in range(count + 1)] if count else [0]
        pairs = list(itertools.pairwise(edges))
        return cls([sum(tops[a:b]) for a, b in pairs], [sum(bottoms[a:b]) for a, b in pairs])


def steady_window(log: Log) -> Window:
    """The load's steady window. Raises Unmeasurable where there is none."""
    steady = [window for window in log.of(Window) if window.name == "steady" and window.end_ns > window.begin_ns]
    if not steady:
        raise Unmeasurable("not_measured", "the load run has no steady window", "shosei load URL --seconds 30")
    return steady[-1]


def time_batches(window: Window, points: Iterable[tuple[int, float]]) -> Batches:
    """Sum the points' values in ``BATCHES`` equal stretches of the window; the denominators are seconds."""
    length = (window.end_ns - window.begin_ns) / BATCHES
    tops = [0.0] * BATCHES
    for when, value in points:
        tops[min(BATCHES - 1, int((when - window.begin_ns) / length))] += value
    return Batches(tops, [length / 1e9] * BATCHES)


def by_child(samples: Iterable[Sample], scope: str = "tree") -> dict[str, list[Sample]]:
    """Samples of each process tree, in time order. One supervisor's pid and the child's name make a tree."""
    trees: dict[tuple[int, str], list[Sample]] = {}
    for sample in samples:
        if sample.scope == scope:
            trees.setdefault((sample.pid, sample.name), []).append(sample)
    names = [name for _, name in trees]
    return {
        name if names.count(name) == 1 else f"{name} ({pid})": sorted(tree, key=lambda sample: sample.mono_ns)
        for (pid, name), tree in trees.items()
    }


def increments(tree: Sequence[Sample], counter: str) -> list[tuple[int, int, float]]:
    """``(begin_ns, end_ns, increase)`` between neighbouring samples. A counter that falls began anew with a restart."""
    known = [(sample.mono_ns, getattr(sample, counter)) for sample in tree if getattr(sample, counter) is not None]
    steps = []
    for (begin, before), (end, after) in itertools.pairwise(known):
        steps.append((begin, end, float(after - before if after >= before else after)))
    return steps


def counter_rate(samples: Iterable[Sample], counter: str) -> dict[str, float]:
    """Mean increase per second of a counter, by process tree."""
    rates = {}
    for name, tree in by_child(samples).items():
        steps = increments(tree, counter)
        if steps and steps[-1][1] > steps[0][0]:
            rates[name] = sum(step[2] for step in steps) / ((steps[-1][1] - steps[0][0]) / 1e9)
    return rates


def bins(trees: dict[str, list[Sample]], gauge: str) -> dict[int, int]:
    """The sum over trees of a gauge, by second of the monotonic clock; within a second the highest reading counts."""
    seconds: dict[int, dict[str, int]] = {}
    for name, tree in trees.items():
        for sample in tree:
            reading = getattr(sample, gauge)
            if reading is not None:
                second = seconds.setdefault(sample.mono_ns // 1_000_000_000, {})
                second[name] = max(second.get(name, 0), reading)
    return {second: sum(readings.values()) for second, readings in sorted(seconds.items())}
