"""Intervals and percentiles. Deterministic everywhere: exact sums, order statistics, raw Philox bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

Interval = tuple[float | None, float | None]

Z = 1.959963984540054  # the normal distribution's 97.5 % point
MIN_CLUSTERS = 30  # fewer independent units do not support a 95 % interval: the value is "insufficient"
BATCHES = 40  # non-overlapping time batches of a performance figure: a few may be empty
RESAMPLES = 2000

# Smallest n whose maximum lies above the percentile with 95 % confidence: the least n with p^n <= 0.05.
PERCENTILE_MIN_N = {50: 5, 90: 29, 95: 59, 99: 299}


def mean(values: Sequence[float]) -> float:
    """Exactly rounded mean of at least one value."""
    return math.fsum(values) / len(values)


def variance(values: Sequence[float]) -> float:
    """Unbiased sample variance of at least two values."""
    centre = mean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Nearest-rank percentile, or None where n is too small to support it (``PERCENTILE_MIN_N``)."""
    if len(values) < PERCENTILE_MIN_N[percent]:
        return None
    return sorted(values)[math.ceil(percent / 100 * len(values)) - 1]


def wilson(successes: float, n: float) -> Interval:
    """95 % score interval of a proportion (Wilson 1927). ``n`` may be an effective size."""
    if n <= 0:
        return None, None
    share = successes / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def wilson_clustered(clusters: Sequence[Sequence[float]]) -> Interval:
    """Wilson interval on the effective sample size of clustered outcomes (0 or 1, or shares between).

    The effective size is n over the design effect, the cluster-robust variance of the mean over that of independent
    draws (Kish 1965); never above n. Where every outcome is equal the design effect cannot be seen: the clusters count.
    """
    outcomes = [value for cluster in clusters for value in cluster]
    n, groups = len(outcomes), len(clusters)
    if not n:
        return None, None
    share = mean(outcomes)
    independent = share * (1 - share) / n
    if groups == n:
        return wilson(share * n, n)
    if independent == 0 or groups < 2:
        return wilson(share * groups, groups)
    residuals = [math.fsum(cluster) - share * len(cluster) for cluster in clusters]
    robust = math.fsum(value * value for value in residuals) / n**2 * groups / (groups - 1)
    effective = n / max(1.0, robust / independent)
    return wilson(share * effective, effective)


def percentile_interval(clusters: Sequence[Sequence[float]], percent: int) -> Interval:
    """95 % interval of a percentile of clustered values (Woodruff 1952).

    The share of values at or below the percentile has a clustered Wilson interval; its ends, read off the ordered
    values, are the interval. An end is None where the values do not reach that far.
    """
    ordered = sorted(value for cluster in clusters for value in cluster)
    if len(ordered) < PERCENTILE_MIN_N[percent]:
        return None, None
    point = ordered[math.ceil(percent / 100 * len(ordered)) - 1]
    low, high = wilson_clustered([[float(value <= point) for value in cluster] for cluster in clusters])
    if low is None or high is None:
        return None, None
    upper = math.ceil(high * len(ordered))
    return ordered[max(0, math.ceil(low * len(ordered)) - 1)], ordered[upper - 1] if upper < len(ordered) else None


def poisson(count: int) -> Interval:
    """95 % exact interval of a Poisson mean from one count (Garwood 1936)."""
    low = special.gammaincinv(count, 0.025) if count else 0.0
    return float(low), float(special.gammaincinv(count + 1, 0.975))


def student_t(values: Sequence[float]) -> Interval:
    """95 % t interval of the mean of independent values; unknown below two."""
    if len(values) < 2:
        return None, None
    half = float(special.stdtrit(len(values) - 1, 0.975)) * math.sqrt(variance(values) / len(values))
    return mean(values) - half, mean(values) + half


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """95 % t interval of sum(numerators) / sum(denominators) over independent batches (delta method, Cochran 1977)."""
    n = len(numerators)
    total = math.fsum(denominators)
    if n < 2 or total <= 0:
        return None, None
    ratio = math.fsum(numerators) / total
    residuals = [top - ratio * bottom for top, bottom in zip(numerators, denominators, strict=True)]
    spread = math.sqrt(math.fsum(value * value for value in residuals) * n / (n - 1))
    half = float(special.stdtrit(n - 1, 0.975)) * spread / total
    return ratio - half, ratio + half


def cluster_bootstrap(
    groups: int, statistic: Callable[[np.ndarray], np.ndarray], resamples: int = RESAMPLES
) -> Interval:
    """95 % percentile interval of ``statistic`` over resampled clusters (Efron 1979).

    ``statistic`` maps how often each cluster was drawn, (resamples, groups), to one value a resample. The draws come
    from raw Philox words, whose bits, unlike numpy's derived distributions, are fixed for good.
    """
    if groups < 2:
        return None, None
    words = np.random.Philox(key=groups).random_raw(resamples * groups).reshape(resamples, groups)
    drawn = (words % np.uint64(groups)).astype(np.int64)
    counts = np.zeros((resamples, groups), dtype=np.int64)
    np.add.at(counts, (np.arange(resamples)[:, None], drawn), 1)
    values = np.sort(statistic(counts))
    low, high = math.floor(0.025 * (resamples - 1)), math.ceil(0.975 * (resamples - 1))
    return float(values[low]), float(values[high])
