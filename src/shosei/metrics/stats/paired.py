"""Tests of a difference between measurements that match: the same tasks, or neighbouring turns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from shosei.metrics import stats
from shosei.metrics.metric import text
from shosei.metrics.stats.difference import Difference, quantile, student
from shosei.metrics.stats.observations import Observation, Observations, by_cluster, is_single_outcome, of_resamples

_UNSEEN = 0.05  # chance of seeing nothing differ where the share that differs is at its bound


def turns(a: Sequence[float], b: Sequence[float], *, shares: bool = False) -> Difference:
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


def tasks(a: Observations, b: Observations) -> Difference:
    """The test of the tasks that both have: exact McNemar of single outcomes, else a paired cluster bootstrap."""
    after = {it.key: it for it in b.each}
    before = [it for it in a.each if it.key in after]
    matching = [after[it.key] for it in before]
    if is_single_outcome(a, before) and is_single_outcome(b, matching):
        return mcnemar([it.adds.get("top", 0.0) > 0 for it in before], [it.adds.get("top", 0.0) > 0 for it in matching])
    clusters = by_cluster(before)
    matched = [[after[it.key] for it in cluster] for cluster in clusters]
    return _bootstrap(a, clusters, b, matched)


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
    return Difference((gained - lost) / n, interval, even(lost, gained), error, n, text("compare.mcnemar"))


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


def even(first: int, second: int) -> float:
    """Exact two-sided p of a split of ``first + second`` where either side is equally likely."""
    return min(1.0, 2 * float(special.bdtr(min(first, second), first + second, 0.5))) if first + second else 1.0


def _bootstrap(
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
