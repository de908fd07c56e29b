"""The independent units that a value is made of: what a comparison pairs, and what a bootstrap resamples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


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
