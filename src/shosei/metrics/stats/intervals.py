"""Intervals and percentiles, of exact sums and order statistics: the same on every machine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import special

Interval = tuple[float | None, float | None]
Values = Sequence[float] | np.ndarray

MIN_CLUSTERS = 30  # fewer independent units do not support a 95 % interval: the value is "insufficient"
BATCHES = 40  # non-overlapping time batches of a performance figure: a few may be empty

# Smallest n whose maximum lies above the percentile with 95 % confidence: the least n with p^n <= 0.05.
PERCENTILE_MIN_N = {50: 5, 90: 29, 95: 59, 99: 299}


def mean(values: Values) -> float:
    """Exactly rounded mean of at least one value."""
    return math.fsum(values) / len(values)


def variance(values: Sequence[float]) -> float:
    """Unbiased sample variance of at least two values."""
    centre = mean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)


def percentile(values: Values, percent: int) -> float | None:
    """Nearest-rank percentile, or None where n is too small to support it (``PERCENTILE_MIN_N``)."""
    if len(values) < PERCENTILE_MIN_N[percent]:
        return None
    rank = math.ceil(percent / 100 * len(values)) - 1
    return float(np.partition(values, rank)[rank])


def wilson(successes: float, n: float) -> Interval:
    """95 % score interval of a proportion (Wilson 1927). ``n`` may be an effective size.

    Two changes, because the plain interval covers too little near 0 and 1 and at small n (Brown, Cai and DasGupta
    2001): Student's quantile stands for the normal one, and no end lies within the exact one-sided 95 % bound (Clopper
    and Pearson 1934).
    """
    return score(successes, n, student_quantile(n - 1)) if n > 0 else (None, None)


def score(successes: float, n: float, quantile: float) -> tuple[float, float]:
    """``wilson`` with the quantile given."""
    share, failures, square = successes / n, n - successes, quantile * quantile
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = quantile / (1 + square / n) * math.sqrt(max(0.0, share * (1 - share)) / n + square / (4 * n * n))
    low = min(centre - half, float(special.betaincinv(successes, failures + 1, 0.05))) if successes > 0 else 0.0
    high = max(centre + half, float(special.betaincinv(successes + 1, failures, 0.95))) if failures > 0 else 1.0
    return max(0.0, low), min(1.0, high)


def student_quantile(freedom: float, share: float = 0.975) -> float:
    """The ``share`` quantile of Student's t; at least one degree of freedom."""
    return float(special.stdtrit(max(1.0, freedom), share))


def design_effect(clusters: Sequence[Values]) -> float | None:
    """Cluster-robust variance of the mean over that of independent draws (Kish 1965), at least 1.

    None where every outcome is equal, or there is one cluster: it cannot be seen.
    """
    n, groups = sum(map(len, clusters)), len(clusters)
    share = _mean_of_all(clusters)
    independent = share * (1 - share) / n
    if independent <= 0 or groups < 2:
        return None
    residuals = [math.fsum(cluster) - share * len(cluster) for cluster in clusters]
    robust = math.fsum(value * value for value in residuals) / n**2 * groups / (groups - 1)
    return max(1.0, robust / independent)


def wilson_clustered(clusters: Sequence[Values]) -> Interval:
    """Wilson interval on the effective sample size of clustered outcomes (0 or 1, or shares between).

    The effective size is n over the design effect. That effect is itself estimated, badly where few clusters differ
    from the rest: the quantile has the degrees of freedom of its estimate (Satterthwaite 1946). Never wider than if
    each cluster were a single outcome, which is also the answer where the design effect cannot be seen.
    """
    n, groups = sum(map(len, clusters)), len(clusters)
    if not n:
        return None, None
    share = _mean_of_all(clusters)
    widest = score(share * groups, groups, student_quantile(groups - 1))
    effect = design_effect(clusters)
    if effect is None or groups == n:
        return widest
    squares = [(math.fsum(cluster) - share * len(cluster)) ** 2 for cluster in clusters]
    freedom = groups - 1.0
    if (spread := math.fsum(squares)) > 0:
        kurtosis = groups * math.fsum(value * value for value in squares) / spread**2
        freedom = min(freedom, 2 * groups / (kurtosis - 1) - 1) if kurtosis > 1 else freedom
    low, high = score(share * n / effect, n / effect, student_quantile(freedom))
    return max(low, widest[0]), min(high, widest[1])


def percentile_interval(clusters: Sequence[Values], percent: int) -> Interval:
    """95 % interval of a percentile of clustered values (Woodruff 1952).

    The share of values at or below the percentile has a clustered Wilson interval; its ends, read off the ordered
    values, are the interval. An end is None where the values do not reach that far. Equal values raise that share:
    where its whole interval lies above ``percent``, the percentile itself is the upper end. Where all values are equal,
    it is both ends, as it is of their mean: of so many as support the percentile, none was seen above it.
    """
    ordered = np.sort(np.concatenate([*clusters, []]))
    if len(ordered) < PERCENTILE_MIN_N[percent]:
        return None, None
    point = float(ordered[math.ceil(percent / 100 * len(ordered)) - 1])
    if ordered[0] == ordered[-1]:
        return point, point
    low, high = wilson_clustered([(np.asarray(cluster) <= point).astype(float) for cluster in clusters])
    if low is None or high is None:
        return None, None
    lowest = float(ordered[max(0, math.ceil(low * len(ordered)) - 1)])
    if low >= percent / 100:
        return lowest, point
    upper = math.ceil(high * len(ordered))
    return lowest, float(ordered[upper - 1]) if upper < len(ordered) else None


def _mean_of_all(clusters: Sequence[Values]) -> float:
    """Exactly rounded: what is left of a cluster's sum is added as well."""
    return math.fsum(itertools.chain.from_iterable(clusters)) / sum(map(len, clusters))


def poisson(count: int) -> Interval:
    """95 % exact interval of a Poisson mean from one count (Garwood 1936)."""
    low = special.gammaincinv(count, 0.025) if count else 0.0
    return float(low), float(special.gammaincinv(count + 1, 0.975))


def student_t(values: Sequence[float]) -> Interval:
    """95 % t interval of the mean of independent values that are not very skewed; unknown below two."""
    if len(values) < 2:
        return None, None
    half = float(special.stdtrit(len(values) - 1, 0.975)) * math.sqrt(variance(values) / len(values))
    return mean(values) - half, mean(values) + half


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """95 % interval of sum(numerators) / sum(denominators) over time batches, in their order; unknown below two.

    Student t by the delta method (Cochran 1977), with two corrections: for skewness (Hall 1992), since slow requests
    make long tails, and for a positive correlation of neighbouring batches, which share a queue.
    """
    n = len(numerators)
    total = math.fsum(denominators)
    if n < 2 or total <= 0:
        return None, None
    ratio = math.fsum(numerators) / total
    residuals = [top - ratio * bottom for top, bottom in zip(numerators, denominators, strict=True)]
    squares = math.fsum(value * value for value in residuals)
    if squares == 0:
        return ratio, ratio
    skew = skewness(residuals)
    neighbours = math.fsum(a * b for a, b in itertools.pairwise(residuals)) / squares
    error = math.sqrt(squares * n / (n - 1) * (1 + 2 * max(0.0, neighbours))) / total
    quantile = student_quantile(n - 1)
    return ratio - error * unskewed(quantile, skew, n), ratio - error * unskewed(-quantile, skew, n)


def skewness(values: Sequence[float]) -> float:
    """Third standardised moment; 0 without spread."""
    centre = mean(values)
    squares = math.fsum((value - centre) ** 2 for value in values)
    cubes = math.fsum((value - centre) ** 3 for value in values)
    return math.sqrt(len(values)) * cubes / squares**1.5 if squares > 0 else 0.0


def unskewed(quantile: float, skew: float, n: int) -> float:
    """The inverse of Hall's transformation, which takes the skewness out of a studentised mean of n values."""
    a = skew / (3 * math.sqrt(n))
    if abs(a) < 1e-6:
        return quantile
    return (math.cbrt(1 + 3 * a * (quantile - a / 2)) - 1) / a
