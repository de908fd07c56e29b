"""Tests of a difference between measurements that share no tasks: error rates, crashes, restarts, ratings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import fisher_exact

from shosei.metrics import stats
from shosei.metrics.metric import Words, text
from shosei.metrics.stats import Interval
from shosei.metrics.stats.difference import Difference, student
from shosei.metrics.stats.observations import Observations, by_cluster, is_single_outcome, of_resamples, share, total
from shosei.metrics.stats.paired import even


def is_exact(a: Observations, b: Observations) -> bool:
    """Whether the test is exact at any n: single independent outcomes, or a count of them."""
    return is_single_outcome(a, a.each) and is_single_outcome(b, b.each)


def samples(a: Observations, b: Observations) -> Difference:
    """Fisher's exact test of shares, on effective sizes where outcomes are clustered; exact Poisson of counts.

    Other statistics: a t test on the standard errors of two independent cluster bootstraps.
    """
    if a.statistic is total:
        return counts(*(round(sum(it.adds.get("top", 0.0) for it in side.each)) for side in (a, b)))
    if a.statistic is share:
        clusters = [_outcomes(side) for side in (a, b)]
        return shares(clusters[0], clusters[1])
    return _bootstraps(a, b)


def counts(a: int, b: int) -> Difference:
    """Exact conditional test of two Poisson counts of equally long observation (Przyborowski and Wilenski 1940)."""
    interval = _from_both(a, stats.poisson(a), b, stats.poisson(b))
    error = math.sqrt(max(1, a + b))
    return Difference(float(b - a), interval, even(a, b), error, a + b, text("compare.poisson"))


def shares(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> Difference:
    """Fisher's exact test of two shares of clustered outcomes, on effective sample sizes.

    One design effect for both sides, which under the hypothesis tested have the same; where all outcomes are equal
    none can be seen, and the clusters count. The interval joins the two Wilson intervals (Newcombe 1998).
    """
    single = all(len(cluster) == 1 for cluster in (*a, *b))
    effect = 1.0 if single else stats.design_effect([*a, *b])
    values, sizes = [], []
    for clusters in (a, b):
        outcomes = [outcome for cluster in clusters for outcome in cluster]
        values.append(stats.mean(outcomes))
        sizes.append(len(clusters) if effect is None else len(outcomes) / effect)
    table = []
    for value, size in zip(values, sizes, strict=True):
        top = round(value * size)
        table.append([top, max(0, round(size) - top)])
    before, after = (stats.wilson(value * size, size) for value, size in zip(values, sizes, strict=True))
    tried = [(value * size + 1, size + 2) for value, size in zip(values, sizes, strict=True)]
    error = math.sqrt(math.fsum(top / n * (1 - top / n) / n for top, n in tried))
    method: Words = text("compare.fisher_effective", effect=effect) if effect else text("compare.fisher_clusters")
    if single:
        method = text("compare.fisher")
    return Difference(
        values[1] - values[0],
        _from_both(values[0], before, values[1], after),
        float(fisher_exact(table)[1]),
        error,
        sum(map(len, (*a, *b))),
        method,
    )


def _from_both(a: float, around_a: Interval, b: float, around_b: Interval) -> Interval:
    """The interval of b less a from the intervals of both (Zou and Donner 2008)."""
    (low_a, high_a), (low_b, high_b) = around_a, around_b
    if low_a is None or high_a is None or low_b is None or high_b is None:
        return None, None
    return b - a - math.hypot(b - low_b, high_a - a), b - a + math.hypot(high_b - b, a - low_a)


def _outcomes(observations: Observations) -> list[list[float]]:
    """Each cluster's outcomes; an observation of several outcomes gives its share as often as it has them."""
    clusters = []
    for cluster in by_cluster(observations.each):
        outcomes = []
        for it in cluster:
            bottom = it.adds["bottom"]
            outcomes += [it.adds.get("top", 0.0) / bottom] * round(bottom)
        clusters.append(outcomes)
    return clusters


def _bootstraps(a: Observations, b: Observations) -> Difference:
    values, errors, sizes = [], [], []
    for side in (a, b):
        clusters = by_cluster(side.each)
        statistic = of_resamples(side, clusters)
        groups = len(clusters)
        values.append(float(statistic(np.ones((1, groups), dtype=np.int64))[0]))
        errors.append(stats.bootstrap_error(groups, statistic) or 1 / (groups + 2))
        sizes.append(groups)
    n = len(a.each) + len(b.each)
    method = text("compare.two_bootstraps", clusters=min(sizes))
    return student(values[1] - values[0], math.hypot(*errors), min(sizes) - 1, n, method)
