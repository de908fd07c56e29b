"""How much better one trial is than another: signed so that more is better, whatever is measured; and by which test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shosei.log import TuneTrial
from shosei.metrics.stats import Interval, mean, variance
from shosei.metrics.stats.difference import ALPHA, Difference, paired_t_test, paired_tasks, quantile, student
from shosei.metrics.stats.observations import Observation, Observations, share

HALF = math.log(2)  # what is less than half as good is as bad as that: one cliff must not hide all else
_BEHIND = 0.2  # chance of being the better one below which a challenger comes no further
_PROMOTED = 3  # one in so many goes on to more steps (Li et al. 2018)
Pair = tuple[TuneTrial, TuneTrial]  # baseline and challenger, measured alike


@dataclass(frozen=True, slots=True)
class Gain:
    """A confirmed gain, as people read it: +0.2 is a fifth better, of shares 20 points.

    ``interval`` holds for all finalists together; ``p`` is of this one, two-sided. ``detectable`` would have been found
    with 80 % power. ``n`` counts rounds, or tasks.
    """

    value: float
    interval: Interval
    p: float
    n: int
    detectable: float


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale of gains while a search looks for them: logarithms of ratios, or differences."""

    is_higher: bool
    is_relative: bool

    def gain(self, value: float, baseline: float) -> float:
        """How much better ``value`` is."""
        better, worse = (value, baseline) if self.is_higher else (baseline, value)
        if not self.is_relative:
            return better - worse
        if min(better, worse) <= 0:
            return HALF * ((better > 0) - (worse > 0))
        return max(-HALF, math.log(better / worse))

    def of_pair(self, before: TuneTrial, after: TuneTrial) -> float | None:
        """The gain of a challenger, by its value; None where either failed."""
        return None if before.value is None or after.value is None else self.gain(after.value, before.value)

    def of_pairs(self, pairs: Sequence[Pair]) -> float | None:
        """The gain of a challenger: of tasks over all that both did, else in the last pair. None where that failed."""
        if tasks := tasks_of_both(pairs):
            return self.gain(mean([after for _, after in tasks]), mean([before for before, _ in tasks]))
        return self.of_pair(*pairs[-1])

    def shown(self, gain: float) -> float:
        """A gain of this scale as people read it."""
        if not self.is_relative:
            return gain
        return math.expm1(gain) if self.is_higher else -math.expm1(-gain)

    def is_behind(self, pairs: Sequence[Pair], noise: float | None) -> bool:
        """Whether the challenger of ``pairs`` would hardly be the better one: a paired test, one-sided.

        Over the tasks that both did, where there are any; else over the pairs, whose spread is taken from the ``noise``
        between measurements, as two or three pairs do not tell it. One that failed or missed a limit is behind.
        """
        if any(not after.is_kept for _, after in pairs):
            return True
        sign = 1 if self.is_higher else -1
        gains = [sign * (after - before) for before, after in tasks_of_both(pairs)]
        if len(gains) > 1:
            error, freedom = math.sqrt(variance(gains) / len(gains)), len(gains) - 1.0
        else:
            gains = gains or [gain for pair in pairs if (gain := self.of_pair(*pair)) is not None]
            error, freedom = (noise or 0.0) * math.sqrt(2 / max(1, len(gains))), math.inf
        test = student(mean(gains), error, freedom, len(gains), "") if gains else None
        return test is not None and test.value < 0 and test.p / 2 < _BEHIND

    def is_left_behind(self, trial: TuneTrial, others: Sequence[TuneTrial]) -> bool:
        """Successive halving: whether ``trial`` is not among the best third of what its rung has seen."""
        if not trial.is_kept:
            return True
        better = [other for other in others if (self.of_pair(trial, other) or 0) > 0]
        return len(better) >= max(1, (len(others) + 1) // _PROMOTED)

    def confirmed(self, pairs: Sequence[Pair], family: int) -> Gain:
        """The test of a finalist against the default, one of ``family``, by rounds or by the tasks that both did.

        At least two pairs without units; none of them failed.
        """
        test, per = self._tested(pairs)
        centre = math.log1p(test.value) if test.relative else test.value
        alpha = ALPHA / family
        low, high = test.ci
        if family > 1 and test.error > 0:
            half = quantile(test.freedom, 1 - alpha / 2) * test.error
            low, high = (math.expm1(end) if test.relative else end for end in (centre - half, centre + half))
        value, ends = test.value / per, [None if end is None else end / per for end in (low, high)]
        if not self.is_higher:
            value, ends = -value, [None if end is None else -end for end in reversed(ends)]
        return Gain(value, (ends[0], ends[1]), test.p, test.n, test.detectable(alpha) / per)

    def _tested(self, pairs: Sequence[Pair]) -> tuple[Difference, float]:
        """The difference, and by what it is to be divided to be a gain: with a 0 there is no mean of ratios.

        Where the default has nothing but zeros it is a part of what the finalist has, and so 1, which is said too low.
        """
        before, after = zip(*pairs, strict=True)
        if any(side.units for side in before):
            return paired_tasks(_of_units(before), _of_units(after)), 1.0
        values = [[side.value or 0.0 for side in sides] for sides in (before, after)]
        test = paired_t_test(*values, shares=not self.is_relative)
        is_ratio = test.relative or not self.is_relative
        return test, 1.0 if is_ratio else mean(values[0]) or mean(values[1]) or 1.0


def tasks_of_both(pairs: Sequence[Pair]) -> list[tuple[float, float]]:
    """What baseline and challenger got for each task that both did; empty for what has no tasks."""
    return [
        (before.units[key], after.units[key])
        for before, after in pairs
        for key in sorted(before.units.keys() & after.units.keys())
    ]


def spread_within(groups: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation within groups of gains; None where none has two."""
    freedom = sum(len(group) - 1 for group in groups)
    squares = math.fsum((gain - mean(group)) ** 2 for group in groups for gain in group)
    return math.sqrt(squares / freedom) if freedom else None


def _of_units(trials: Sequence[TuneTrial]) -> Observations:
    """Each unit with what it got in all rounds; a cluster of its own."""
    got: dict[str, list[float]] = {}
    for trial in trials:
        for key, value in trial.units.items():
            got.setdefault(key, []).append(value)
    each = [
        Observation(key, key, {"top": math.fsum(values), "bottom": float(len(values))}) for key, values in got.items()
    ]
    return Observations(each, share, paired=True)
