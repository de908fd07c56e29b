"""Cluster bootstrap, from raw Philox bits: the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from shosei.metrics.stats.intervals import Interval, mean, score, skewness, student_quantile, unskewed, variance

RESAMPLES = 2000
_AT_ONCE = 2**21  # counts that are resampled at once: thousands of clusters must not take gigabytes

Statistic = Callable[[np.ndarray], np.ndarray]


@lru_cache(maxsize=2)
def _draws(groups: int, resamples: int) -> np.ndarray:
    """How often each cluster is drawn in each resample, (resamples, groups).

    From raw Philox words, whose bits, unlike those of numpy's derived distributions, are fixed for good.
    """
    words = np.random.Philox(key=groups)
    counts = np.empty((resamples, groups), dtype=np.uint16)
    for resample in counts:
        drawn = words.random_raw(groups) % np.uint64(groups)
        resample[:] = np.bincount(drawn.astype(np.int64), minlength=groups)
    counts.flags.writeable = False
    return counts


def cluster_bootstrap(groups: int, statistic: Statistic, resamples: int = RESAMPLES) -> Interval:
    """95 % interval of a ``statistic`` without bounds, such as a mean: Student t on the bootstrap's standard error.

    Corrected for the skewness of what each cluster adds, seen by leaving it out (jackknife): at 30 clusters the plain
    percentiles of skewed values cover too little.
    """
    if groups < 2:
        return None, None
    value = float(statistic(np.ones((1, groups), dtype=np.int64))[0])
    error = bootstrap_error(groups, statistic, resamples)
    if error == 0:
        return value, value
    skew, quantile = -skewness(_without_each(groups, statistic)), student_quantile(groups - 1)
    return value - error * unskewed(quantile, skew, groups), value - error * unskewed(-quantile, skew, groups)


def _without_each(groups: int, statistic: Statistic) -> list[float]:
    """The statistic of all clusters but one, for each in turn (jackknife)."""
    values: list[float] = []
    for first in range(0, groups, max(1, _AT_ONCE // groups)):
        left_out = np.arange(first, min(groups, first + max(1, _AT_ONCE // groups)))
        values += map(float, statistic((left_out[:, None] != np.arange(groups)).astype(np.int64)))
    return values


def share_bootstrap(groups: int, n: int, statistic: Statistic, resamples: int = RESAMPLES) -> Interval:
    """95 % interval of a ``statistic`` between 0 and 1, such as a macro average, of n tasks in clusters.

    A Wilson interval on the effective size that the bootstrap's standard error implies, at most n: near 0 and 1, where
    few clusters differ from the rest, percentiles cover far too little. Without any spread the clusters count.
    """
    if groups < 2:
        return None, None
    value = float(statistic(np.ones((1, groups), dtype=np.int64))[0])
    error = bootstrap_error(groups, statistic, resamples)
    size = min(float(n), value * (1 - value) / error**2) if error > 0 and 0 < value < 1 else float(groups)
    return score(value * size, size, student_quantile(groups - 1))


def bootstrap_error(groups: int, statistic: Statistic, resamples: int = RESAMPLES) -> float:
    """Standard error of ``statistic`` over at least two resampled clusters (Efron 1979); 0 where only rounding differs.

    ``statistic`` maps how often each cluster was drawn, (resamples, groups), to one value a resample. As large as for
    independent clusters drawn again: resampling n of n takes 1 / n of the variance away.
    """
    draws, rows = _draws(groups, resamples), max(1, _AT_ONCE // groups)
    values = [float(value) for row in range(0, resamples, rows) for value in statistic(draws[row : row + rows])]
    error = math.sqrt(variance(values) * groups / (groups - 1))
    return error if error > 1e-9 * abs(mean(values)) else 0.0
