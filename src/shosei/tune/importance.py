"""How much each setting matters: its share of the spread among trials that the other settings leave unexplained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from shosei.metrics.stats import Interval
from shosei.tune.setting import Candidate, Setting, Space, Value

_ROUNDING = 1e-12  # of all squares: less than that is none
_LEAST_FREEDOM = 5  # trials beyond what the fit takes: with fewer its noise is unknown


@dataclass(frozen=True, slots=True)
class Importance:
    """``share`` is None where nothing can be told; ``values`` counts the different ones that were tried."""

    setting: str
    values: int
    share: float | None = None
    ci: Interval = (None, None)


def importances(space: Space, candidates: Sequence[Candidate], gains: Sequence[float]) -> list[Importance]:
    """Each setting's main effect on ``gains``, of one trial each; the most important first.

    Fitted by least squares: a range's effect is a parabola, a choice has a level for each of its values, and effects
    add up; interactions count as noise. The share is partial omega squared (Keren and Lewis 1979), its 95 % interval
    that of the noncentral F (Steiger 2004).
    """
    columns = [_columns(setting, [candidate[name] for candidate in candidates]) for name, setting in space.items()]
    shares = [_share(columns, place, np.asarray(gains, dtype=float)) for place in range(len(columns))]
    tried = [len({str(candidate[name]) for candidate in candidates}) for name in space]
    each = [Importance(name, count, *share) for name, count, share in zip(space, tried, shares, strict=True)]
    return sorted(each, key=lambda importance: -1.0 if importance.share is None else importance.share, reverse=True)


def _share(columns: Sequence[np.ndarray], place: int, gains: np.ndarray) -> tuple[float | None, Interval]:
    """The share that the setting at ``place`` explains, and its interval."""
    n, constant = len(gains), np.ones((len(gains), 1))
    rank, error = _fit([constant, *columns], gains)
    rank_without, error_without = _fit([constant, *columns[:place], *columns[place + 1 :]], gains)
    effects, freedom = rank - rank_without, n - rank
    if effects == 0 or freedom < _LEAST_FREEDOM:
        return None, (None, None)
    if error <= (least := _ROUNDING * float(np.sum((gains - gains.mean()) ** 2))):  # no noise at all
        whole = float(error_without > least)
        return whole, (whole, whole)
    ratio = max(0.0, (error_without - error) / effects) / (error / freedom)
    low = _noncentrality(effects, freedom, ratio, 0.975)
    high = _noncentrality(effects, freedom, max(1.0, ratio), 0.025)  # a ratio below 1 knows no more than one of 1
    excess = max(0.0, effects * (ratio - 1))
    return excess / (excess + n), (low / (low + n), high / (high + n))


def _noncentrality(effects: int, freedom: int, ratio: float, chance: float) -> float:
    """That under which F falls below ``ratio`` with ``chance``; 0 where it does so less often without any effect."""
    if special.fdtr(effects, freedom, ratio) <= chance:
        return 0.0
    return float(special.ncfdtrinc(effects, freedom, chance, ratio))


def _fit(columns: Sequence[np.ndarray], gains: np.ndarray) -> tuple[int, float]:
    """Rank of the columns together, and the sum of squares that they leave."""
    design = np.hstack(columns)
    effects, _, rank, _ = np.linalg.lstsq(design, gains, rcond=1e-9)
    return int(rank), float(np.sum((gains - design @ effects) ** 2))


def _columns(setting: Setting, values: Sequence[Value]) -> np.ndarray:
    """A setting's part of the design, (trials, columns): a range and its square, or a level for each further value."""
    if setting.is_range:
        places = np.array([setting.place(value) for value in values]) - 0.5
        return np.column_stack([places, places**2])
    levels, each = np.unique([str(value) for value in values], return_inverse=True)
    return np.eye(len(levels))[each, 1:]
