"""A difference between two measurements: its size, its interval, its p value, and what it comes to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import special

from shosei.metrics.metric import Words
from shosei.metrics.stats import Interval

Verdict = Literal["better", "worse", "equivalent", "inconclusive", "invalid", "not_compared"]

ALPHA = 0.05  # two-sided, for all comparisons together
SHARE_MARGIN = 0.02  # shares that differ by less are equivalent, unless a profile says otherwise
POWER = 0.8  # with which the smallest detectable difference would be found


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

    Without any spread a difference is certain, and so is none.
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
