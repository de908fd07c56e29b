"""The independent units that a value is made of: what a comparison pairs, and what a bootstrap resamples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_GRAIN = 2.0**32  # sums of a group are whole multiples of 1 / _GRAIN: adding them up is exact, in any order


@dataclass(frozen=True, slots=True)
class Unit:
    """What one task, rater, process start or stretch of time adds to the sums that a value is computed from.

    ``key`` names it; where ``Units.paired``, an equal key in another run is the same task with the same truth.
    ``cluster`` is what it shares with units that are not independent of it: a phrasing, a rater.
    """

    key: str
    cluster: str
    adds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Units:
    """``statistic(names, sums)`` is the value, given ``sums`` (..., len(names)) over units of what ``adds`` names.

    Names that no unit adds to are absent and count as 0. ``paired``: keys mean the same in every run.
    """

    units: Sequence[Unit]
    statistic: Callable[[Sequence[str], np.ndarray], np.ndarray]
    paired: bool


def share(names: Sequence[str], sums: np.ndarray) -> np.ndarray:
    """The statistic of a ratio of sums: ``top`` over ``bottom``; 0 where there is nothing below."""
    zero = np.zeros(sums.shape[:-1])
    top = sums[..., names.index("top")] if "top" in names else zero
    bottom = sums[..., names.index("bottom")]
    shares: np.ndarray = np.divide(top, bottom, out=zero.copy(), where=bottom > 0)
    return shares


def total(names: Sequence[str], sums: np.ndarray) -> np.ndarray:
    """The statistic of a plain count: ``top``."""
    counts: np.ndarray = sums[..., names.index("top")]
    return counts


def is_single_outcome(units: Units, among: Sequence[Unit]) -> bool:
    """Whether each of the units ``among`` those of a share or a count is one outcome, 0 or 1, in its own cluster."""
    return (
        units.statistic in (share, total)
        and all(unit.adds.get("bottom") == 1 and unit.adds.get("top", 0.0) in (0, 1) for unit in among)
        and len({unit.cluster for unit in among}) == len(among)
    )


def by_cluster(units: Iterable[Unit]) -> list[list[Unit]]:
    """The units of each cluster, clusters in the order of their names."""
    clusters: dict[str, list[Unit]] = {}
    for unit in units:
        clusters.setdefault(unit.cluster, []).append(unit)
    return [clusters[name] for name in sorted(clusters)]


def added_up(groups: Sequence[Sequence[Unit]]) -> tuple[list[str], np.ndarray]:
    """All names that the units add to, sorted, and what each group adds to them, (groups, names)."""
    names = sorted({name for group in groups for unit in group for name in unit.adds})
    index = {name: number for number, name in enumerate(names)}
    sums = np.zeros((len(groups), len(names)))
    for row, group in enumerate(groups):
        parts: dict[str, list[float]] = {}
        for unit in group:
            for name, added in unit.adds.items():
                parts.setdefault(name, []).append(added)
        for name, added_to in parts.items():
            sums[row, index[name]] = math.fsum(added_to)
    return names, sums


def of_resamples(units: Units, groups: Sequence[Sequence[Unit]]) -> Callable[[np.ndarray], np.ndarray]:
    """The statistic of ``units`` as a function of how often each group was drawn, (resamples, groups)."""
    names, sums = added_up(groups)
    grains = np.round(sums * _GRAIN) / _GRAIN
    return lambda drawn: units.statistic(names, drawn.astype(float) @ grains)
