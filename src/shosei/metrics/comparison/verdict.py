"""From differences to verdicts: correction for many comparisons, margins, and what decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from shosei.metrics.comparison.difference import Difference

Verdict = Literal["better", "worse", "equivalent", "inconclusive", "invalid", "not_compared"]

ALPHA = 0.05  # two-sided, for all comparisons together
SHARE_MARGIN = 0.02  # shares that differ by less are equivalent, unless a profile says otherwise
FAMILY = 15  # comparisons are corrected for at least so many: the metrics, whether or not all could be tested


def family(tested: int) -> int:
    """How many comparisons the p values are corrected for."""
    return max(FAMILY, tested)


def holm(p_values: Sequence[float], family: int) -> list[float]:
    """Adjusted p values (Holm 1979) of some of a ``family`` of tests; the others count as not significant."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (family - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def decide(difference: Difference, p_adjusted: float, margin: float, direction: str) -> Verdict:
    """Equivalent where the whole interval lies within the margin, also if the difference is certain; else by p."""
    low, high = difference.ci
    if low is not None and high is not None and -margin <= low and high <= margin:
        return "equivalent"
    if p_adjusted >= ALPHA:
        return "inconclusive"
    return "better" if (difference.value > 0) == (direction == "higher") else "worse"
