"""The observations that a value is made of: what a comparison pairs, and what a bootstrap resamples."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shosei.metrics.stats.bootstrap import share_bootstrap
from shosei.metrics.stats.bursts import Burstiness
from shosei.metrics.stats.intervals import Interval

_GRAIN = 2.0**32  # sums of a group are whole multiples of 1 / _GRAIN: adding them up is exact, in any order


@dataclass(frozen=True, slots=True)
class Observation:
    """What one task, rater, process start or stretch of time adds to the sums that a value is computed from.

    ``key`` names it; where ``Observations.paired``, an equal key in another run is the same task with the same truth.
    ``cluster`` is what it shares with observations that are not independent of it: a phrasing, a rater.
    """

    key: str
    cluster: str
    adds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Observations:
    """``statistic(names, sums)`` is the value, given ``sums`` (..., len(names)) over ``each`` of what ``adds`` names.

    Names that none adds to are absent and count as 0. ``paired``: keys mean the same in every run. ``bursts``: how far
    neighbours depend on each other, where the observations are stretches of time.
    """

    each: Sequence[Observation]
    statistic: Callable[[Sequence[str], np.ndarray], np.ndarray]
    paired: bool
    bursts: Burstiness | None = None

    @property
    def clusters(self) -> int:
        """How many clusters they are of."""
        return len({observation.cluster for observation in self.each})

    def among(self, keys: Collection[str]) -> Observations:
        """Those of these keys."""
        return replace(self, each=[observation for observation in self.each if observation.key in keys])

    def value(self) -> float:
        """The statistic of all."""
        names, sums = added_up([self.each])
        return float(self.statistic(names, sums[0]))

    def share_interval(self) -> Interval:
        """95 % interval of a statistic between 0 and 1: ``share_bootstrap`` over the clusters."""
        groups = by_cluster(self.each)
        return share_bootstrap(len(groups), len(self.each), of_resamples(self, groups))


def share(names: Sequence[str], sums: np.ndarray) -> np.ndarray:
    """The statistic of a ratio of sums: ``top`` over ``bottom``; 0 where there is nothing below."""
    zero = np.zeros(sums.shape[:-1])
    top = sums[..., names.index("top")] if "top" in names else zero
    bottom = sums[..., names.index("bottom")]
    shares: np.ndarray = np.divide(top, bottom, out=zero.copy(), where=bottom > 0)
    return shares


def ratio(names: Sequence[str], sums: np.ndarray) -> np.ndarray:
    """The statistic of an amount for each of what is counted: ``top`` over ``bottom``; NaN where nothing is counted."""
    bottom = sums[..., names.index("bottom")]
    amounts: np.ndarray = np.divide(
        sums[..., names.index("top")], bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0
    )
    return amounts


def total(names: Sequence[str], sums: np.ndarray) -> np.ndarray:
    """The statistic of a plain count: ``top``."""
    counts: np.ndarray = sums[..., names.index("top")]
    return counts


def is_single_outcome(observations: Observations, among: Sequence[Observation]) -> bool:
    """Whether each ``among`` those of a share or a count is one outcome, 0 or 1, in its own cluster."""
    return (
        observations.statistic in (share, total)
        and all(
            observation.adds.get("bottom") == 1 and observation.adds.get("top", 0.0) in (0, 1) for observation in among
        )
        and len({observation.cluster for observation in among}) == len(among)
    )


def by_cluster(observations: Iterable[Observation]) -> list[list[Observation]]:
    """The observations of each cluster, clusters in the order of their names."""
    clusters: dict[str, list[Observation]] = {}
    for observation in observations:
        clusters.setdefault(observation.cluster, []).append(observation)
    return [clusters[name] for name in sorted(clusters)]


def added_up(groups: Sequence[Sequence[Observation]]) -> tuple[list[str], np.ndarray]:
    """All names that the observations add to, sorted, and what each group adds to them, (groups, names)."""
    names = sorted({name for group in groups for observation in group for name in observation.adds})
    index = {name: number for number, name in enumerate(names)}
    sums = np.zeros((len(groups), len(names)))
    for row, group in enumerate(groups):
        parts: dict[str, list[float]] = {}
        for observation in group:
            for name, added in observation.adds.items():
                parts.setdefault(name, []).append(added)
        for name, added_to in parts.items():
            sums[row, index[name]] = math.fsum(added_to)
    return names, sums


def of_resamples(
    observations: Observations, groups: Sequence[Sequence[Observation]]
) -> Callable[[np.ndarray], np.ndarray]:
    """The statistic of ``observations`` as a function of how often each group was drawn, (resamples, groups)."""
    names, sums = added_up(groups)
    grains = np.round(sums * _GRAIN) / _GRAIN
    return lambda drawn: observations.statistic(names, drawn.astype(float) @ grains)
