"""A value and its interval from the same units, so that the two cannot disagree."""

from __future__ import annotations

from shosei.metrics import stats
from shosei.metrics.stats import Interval
from shosei.metrics.units import Units, added_up, by_cluster, of_resamples


def value(units: Units) -> float:
    """The statistic of all units."""
    names, sums = added_up([units.units])
    return float(units.statistic(names, sums[0]))


def share_interval(units: Units) -> Interval:
    """95 % interval of a statistic between 0 and 1: ``stats.share_bootstrap`` over the clusters of units."""
    groups = by_cluster(units.units)
    return stats.share_bootstrap(len(groups), len(units.units), of_resamples(units, groups))


def clusters(units: Units) -> int:
    """How many clusters the units are of."""
    return len({unit.cluster for unit in units.units})
