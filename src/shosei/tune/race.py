"""Challenger against incumbent: a race that ends as soon as the challenger is behind."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import special

from shosei.metrics.stats import mean, variance
from shosei.tune.gain import Pair, Scale
from shosei.tune.trial import TrialResult

_BEHIND = 0.2  # chance of being the better one below which a challenger comes no further
_PROMOTED = 3  # one in so many goes on to more steps (Li et al. 2018)


def is_behind(pairs: Sequence[Pair], scale: Scale, noise: float | None) -> bool:
    """Whether the challenger of ``pairs`` would hardly be the better one: a paired test, one-sided.

    Over the tasks that both did, where there are any; else over the pairs, whose spread is taken from the ``noise``
    between measurements, as two or three pairs do not tell it. A challenger that failed or missed a limit is behind.
    """
    if any(not after.is_kept for _, after in pairs):
        return True
    units = _of_units(pairs, scale)
    gains = units or [gain for pair in pairs if (gain := scale.of_pairs([pair])) is not None]
    if not gains:
        return False
    if len(units) > 1:
        error, chance = math.sqrt(variance(units) / len(units)), len(units) - 1.0
    else:
        error, chance = (noise or 0.0) * math.sqrt(2 / len(gains)), math.inf
    if error == 0:
        return mean(gains) < 0
    ahead = special.ndtr(mean(gains) / error) if math.isinf(chance) else special.stdtr(chance, mean(gains) / error)
    return bool(ahead < _BEHIND)


def is_left_behind(result: TrialResult, others: Sequence[TrialResult], scale: Scale) -> bool:
    """Successive halving: whether ``result`` is not among the best third of what this rung has seen."""
    if not result.is_kept or result.value is None:
        return True
    better = [other for other in others if other.value is not None and scale.gain(other.value, result.value) > 0]
    return len(better) >= max(1, (len(others) + 1) // _PROMOTED)


def _of_units(pairs: Sequence[Pair], scale: Scale) -> list[float]:
    """How much better the challenger did each task, on the side on which more is better."""
    sign = 1 if scale.is_higher else -1
    return [
        sign * (after.units[key] - before.units[key])
        for before, after in pairs
        for key in sorted(before.units.keys() & after.units.keys())
    ]
