"""The difference of two measurements: its size, its interval, its p value, and what it comes to.

Matching observations, the same tasks or neighbouring turns, have paired tests; error rates, crashes, restarts and
ratings, which share no tasks, have unpaired ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from shosei.metrics import stats
from shosei.metrics.metric import Words, text
from shosei.metrics.stats import Interval
from shosei.metrics.stats.observations import (
    Observation,
    Observations,
    by_cluster,
    is_single_outcome,
    of_resamples,
    ratio,
    share,
    total,
)

Verdict = Literal["better", "worse", "equivalent", "inconclusive", "invalid", "not_compared"]

ALPHA = 0.05  # two-sided, for all comparisons together
SHARE_MARGIN = 0.02  # shares that differ by less are equivalent, unless a profile says otherwise
POWER = 0.8  # with which the smallest detectable difference would be found
_LEAST_FAMILY = (
    15  # the metrics: who named none would have taken a difference in any, whether or not it could be tested
)
_UNSEEN = 0.05  # chance of seeing nothing differ where the share that differs is at its bound


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate less baseline; with ``relative``, candidate over baseline less 1.

    ``error`` is the standard error (of the logarithm of the ratio, with ``relative``) on ``freedom`` degrees of
    freedom. ``n`` counts what the test rests on: pairs of turns, tasks, or the units of both sides together.
    """

    value: float
    ci: Interval  # 95 %
    p: float  # two-sided
    error: float
    n: int
    method: Words
    freedom: float = math.inf
    relative: bool = False
    agreeing: int = 0  # independent units, where every one is equal on both sides

    def detectable(self, alpha: float) -> float:
        """Smallest difference that a test at ``alpha``, two-sided, would find with 80 % power at this spread."""
        smallest = (quantile(self.freedom, 1 - alpha / 2) + quantile(self.freedom, POWER)) * self.error
        return math.expm1(smallest) if self.relative else smallest


def quantile(freedom: float, share: float) -> float:
    """Student's quantile; the normal one where ``freedom`` is infinite."""
    return float(special.ndtri(share) if math.isinf(freedom) else special.stdtrit(freedom, share))


def student(value: float, error: float, freedom: float, n: int, method: Words, *, relative: bool = False) -> Difference:
    """The t test of a difference against 0. With ``relative``, ``value`` is the logarithm of a ratio.

    Without any spread a difference is certain, and so is the lack of one.
    """
    half = quantile(freedom, 0.975) * error
    p = 2 * float(special.stdtr(freedom, -abs(value) / error)) if error > 0 else float(value == 0)
    low, high = value - half, value + half
    if relative:
        value, low, high = math.expm1(value), math.expm1(low), math.expm1(high)
    return Difference(value, (low, high), p, error, n, method, freedom, relative)


def decide(difference: Difference, p_adjusted: float, margin: float, direction: str) -> Verdict:
    """Equivalent where the whole interval lies within the margin, also if the difference is certain; else by p."""
    low, high = difference.ci
    if low is not None and high is not None and -margin <= low and high <= margin:
        return "equivalent"
    if p_adjusted >= ALPHA:
        return "inconclusive"
    return "better" if (difference.value > 0) == (direction == "higher") else "worse"


def family_size(tested: int) -> int:
    """How many comparisons the p values are corrected for where nobody said which of them counts."""
    return max(_LEAST_FAMILY, tested)


def holm(p_values: Sequence[float], family: int) -> list[float]:
    """Adjusted p values (Holm 1979) of some of a ``family`` of tests; the others count as not significant."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (family - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def paired_t_test(a: Sequence[float], b: Sequence[float], *, shares: bool = False) -> Difference:
    """Paired t test over pairs of turns: of the logarithm of the ratio where all values are above 0.

    Of ``shares``, and where there is a 0, of the difference.
    """
    relative = not shares and min(*a, *b) > 0
    pairs = zip(a, b, strict=True)
    differences = [math.log(after / before) if relative else after - before for before, after in pairs]
    n = len(differences)
    error = math.sqrt(stats.variance(differences) / n)
    if error < 1e-9 * abs(stats.mean(differences)):
        error = 0.0  # equal but for rounding
    method = text("compare.t_log_ratio" if relative else "compare.t_turns")
    return student(stats.mean(differences), error, n - 1, n, method, relative=relative)


def paired_tasks(a: Observations, b: Observations) -> Difference:
    """The test of the tasks that both have: exact McNemar of single outcomes, of amounts the delta method, else a
    paired cluster bootstrap. Of amounts both sides must have counted something.
    """
    after = {it.key: it for it in b.each}
    before = [it for it in a.each if it.key in after]
    matching = [after[it.key] for it in before]
    if is_single_outcome(a, before) and is_single_outcome(b, matching):
        return mcnemar([it.adds.get("top", 0.0) > 0 for it in before], [it.adds.get("top", 0.0) > 0 for it in matching])
    clusters = by_cluster(before)
    matched = [[after[it.key] for it in cluster] for cluster in clusters]
    if a.statistic is ratio:
        return _paired_ratios(clusters, matched)
    return _paired_bootstrap(a, clusters, b, matched)


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> Difference:
    """Exact McNemar test of outcomes task by task, with the adjusted interval of Bonett and Price (2012)."""
    n = len(before)
    if list(before) == list(after):
        return agreement(n, n)
    lost = sum(was and not now for was, now in zip(before, after, strict=True))
    gained = sum(now and not was for was, now in zip(before, after, strict=True))
    adjusted = (gained - lost) / (n + 2)
    error = math.sqrt(((gained + lost + 2) / (n + 2) - adjusted**2) / (n + 2))
    half = quantile(math.inf, 0.975) * error
    interval = max(-1.0, adjusted - half), min(1.0, adjusted + half)
    return Difference((gained - lost) / n, interval, even_split(lost, gained), error, n, text("compare.mcnemar"))


def agreement(clusters: int, n: int) -> Difference:
    """No difference in any of the ``n`` tasks, which are so many independent ``clusters``.

    The interval is the exact one-sided 95 % bound of the share that differs where none was seen (Clopper and Pearson
    1934; "rule of three", near 3 / clusters): a difference of shares cannot be larger than the share that differs.
    """
    bound = 1 - _UNSEEN ** (1 / clusters)
    method = text("compare.agreement", clusters=clusters)
    return Difference(0.0, (-bound, bound), 1.0, math.sqrt(2) / (clusters + 2), n, method, agreeing=clusters)


def least_agreeing(margin: float) -> int:
    """How many independent tasks must be equal for the bound of ``agreement`` to lie within ``margin``, below 1."""
    return math.ceil(math.log(_UNSEEN) / math.log1p(-margin))


def even_split(first: int, second: int) -> float:
    """Exact two-sided p of a split of ``first + second`` where either side is equally likely."""
    return min(1.0, 2 * float(special.bdtr(min(first, second), first + second, 0.5))) if first + second else 1.0


def _paired_bootstrap(
    a: Observations, before: Sequence[Sequence[Observation]], b: Observations, after: Sequence[Sequence[Observation]]
) -> Difference:
    """The t test on the standard error of the difference over resampled clusters, the same ones on both sides.

    Student's tail reaches to the small levels that a correction for many comparisons asks for; 2,000 resamples' own
    does not. Changes that cancel out are not certainty: they have the error of one cluster lost and one gained.
    """
    tasks, groups = sum(map(len, before)), len(before)
    if [[it.adds for it in cluster] for cluster in before] == [[it.adds for it in cluster] for cluster in after]:
        return agreement(groups, tasks)
    statistics = of_resamples(a, before), of_resamples(b, after)

    def difference(drawn: np.ndarray) -> np.ndarray:
        changes: np.ndarray = statistics[1](drawn) - statistics[0](drawn)
        return changes

    value = float(difference(np.ones((1, groups), dtype=np.int64))[0])
    error = stats.bootstrap_error(groups, difference) or math.sqrt(2) / (groups + 2)
    return student(value, error, groups - 1, tasks, text("compare.paired_bootstrap", clusters=groups))


def _paired_ratios(before: Sequence[Sequence[Observation]], after: Sequence[Sequence[Observation]]) -> Difference:
    """The t test of the difference of two ratios of sums by what each cluster adds to both (Cochran 1977)."""
    groups = len(before)
    (was, adds_before), (now, adds_after) = (_linearised(side) for side in (before, after))
    changes = [b - a for a, b in zip(adds_before, adds_after, strict=True)]
    error = math.sqrt(math.fsum(change**2 for change in changes) * groups / (groups - 1))
    method = text("compare.paired_ratios", clusters=groups)
    return student(now - was, error, groups - 1, sum(map(len, before)), method)


def _linearised(clusters: Sequence[Sequence[Observation]]) -> tuple[float, list[float]]:
    """A ratio of sums, and how far each cluster moves it."""
    tops, bottoms = (
        [math.fsum(it.adds.get(name, 0.0) for it in cluster) for cluster in clusters] for name in ("top", "bottom")
    )
    whole = math.fsum(bottoms)
    value = math.fsum(tops) / whole
    return value, [(top - value * bottom) / whole for top, bottom in zip(tops, bottoms, strict=True)]


def is_exact(a: Observations, b: Observations) -> bool:
    """Whether the test is exact at any n: single independent outcomes, or a count of them."""
    return is_single_outcome(a, a.each) and is_single_outcome(b, b.each)


def independent_samples(a: Observations, b: Observations) -> Difference:
    """Fisher's exact test of shares, on effective sizes where outcomes are clustered; exact Poisson of counts.

    Other statistics: a t test on the standard errors of two independent cluster bootstraps.
    """
    if a.statistic is total:
        return poisson_counts(*(round(sum(it.adds.get("top", 0.0) for it in side.each)) for side in (a, b)))
    if a.statistic is share:
        bursts = [side.bursts for side in (a, b) if side.bursts]
        return fisher(_outcomes(a), _outcomes(b), stats.Burstiness.joined(bursts) if bursts else None)
    return _two_bootstraps(a, b)


def poisson_counts(a: int, b: int) -> Difference:
    """Exact conditional test of two Poisson counts of equally long observation (Przyborowski and Wilenski 1940)."""
    interval = _from_both(a, stats.poisson(a), b, stats.poisson(b))
    error = math.sqrt(max(1, a + b))
    return Difference(float(b - a), interval, even_split(a, b), error, a + b, text("compare.poisson"))


def fisher(
    a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], bursts: stats.Burstiness | None = None
) -> Difference:
    """Fisher's exact test of two shares of clustered outcomes, on effective sample sizes.

    One design effect for both sides, which under the hypothesis tested have the same: as their ``bursts`` have it, if
    they came in the order of time. Where all outcomes are equal none can be seen, and the clusters count. The interval
    joins the two Wilson intervals (Newcombe 1998).
    """
    from scipy.stats import fisher_exact  # slow to import, and a card needs none of it

    single = not bursts and all(len(cluster) == 1 for cluster in (*a, *b))
    effect = bursts.measured if bursts else 1.0 if single else stats.design_effect([*a, *b])
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


def _two_bootstraps(a: Observations, b: Observations) -> Difference:
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
