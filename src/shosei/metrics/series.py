"""Time series out of events: the steady window, time batches, and counters read from outside."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from shosei.log import Log, RunBegin, Sample, Window
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.metric import Phase
from shosei.metrics.stats import BATCHES

SECOND_NS = 1_000_000_000


def fact_of_this_machine(phase: Phase, finding: Callable[[Log], Unmeasurable]) -> Callable[[Log], Value]:
    """A cell without a value, which holds only if this attempt itself ran or supervised the phase."""

    def compute(log: Log) -> Value:
        verbs = [begin.verb for begin in log.of(RunBegin) if begin.phase == phase]
        if not any(verb in ("train", "serve", "engine") or verb.startswith("supervise:") for verb in verbs):
            raise Unmeasurable("not_measured", f"{phase} did not run under this attempt: its machine is not known")
        raise finding(log)

    return compute


@dataclass(frozen=True, slots=True)
class Batches:
    """Non-overlapping batches of a ratio: a numerator and a denominator each."""

    tops: list[float]
    bottoms: list[float]

    def __len__(self) -> int:
        return len(self.tops)

    @classmethod
    def of_equal_count(cls, bottoms: Sequence[float], tops: Sequence[float]) -> Batches:
        """Consecutive observations in ``BATCHES`` batches of nearly equal count, at least two in each."""
        count = min(BATCHES, max(1, len(tops) // 2))
        edges = [len(tops) * index // count for index in range(count + 1)]
        pairs = list(itertools.pairwise(edges))
        return cls([sum(tops[a:b]) for a, b in pairs], [sum(bottoms[a:b]) for a, b in pairs])


def steady_window(log: Log) -> Window:
    """The load's steady window. Raises Unmeasurable where there is none."""
    steady = [window for window in log.of(Window) if window.name == "steady" and window.end_ns > window.begin_ns]
    if not steady:
        raise Unmeasurable("not_measured", "the load run has no steady window", "shosei load URL --seconds 30")
    return steady[-1]


def by_time(points: Iterable[tuple[int, float]], begin_ns: int, end_ns: int) -> list[list[float]]:
    """Values at points in time, sorted into ``BATCHES`` equal stretches from ``begin_ns`` to ``end_ns``."""
    stretches: list[list[float]] = [[] for _ in range(BATCHES)]
    for when, value in points:
        index = (when - begin_ns) * BATCHES // max(1, end_ns - begin_ns)
        stretches[min(BATCHES - 1, max(0, index))].append(value)
    return stretches


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
