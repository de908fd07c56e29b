"""Failures in the order of time: how far neighbours fail together, and the interval of their share.

An outage fails many requests at once, so that many requests may be few chances. How few is measured.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from shosei.metrics.stats.intervals import BATCHES, Interval, Values, score, student_quantile

# The outcomes of each time batch, in their order; some may be empty. One series a stretch of time without a gap.
Series = Sequence[Values]

_LEAST_BLOCKS = 5  # of neighbouring time batches: fewer do not show how much they differ
_WEIGHT = 2.0  # in failures, of what is presumed before any was seen


class Burstiness(NamedTuple):
    """How far neighbours fail together: the variance of the number of failures as it was measured, ``clustered``, and
    as it would be if each came alone, ``independent``; and how many ``outcomes`` in how many occupied ``batches``."""

    clustered: float
    independent: float
    outcomes: int
    batches: int

    @classmethod
    def of(cls, every: Sequence[Series]) -> Burstiness:
        """Of at least one outcome. Measured by blocks of 1, 2, 4 … time batches, of which the most variable count.

        Bursts that are longer than a block are cut into parts that seem independent.
        """
        sizes = [np.array([len(batch) for batch in series]) for series in every]
        failures = [np.array([math.fsum(batch) for batch in series]) for series in every]
        n = sum(int(size.sum()) for size in sizes)
        share = math.fsum(itertools.chain.from_iterable(failures)) / n
        residuals = [failed - share * size for failed, size in zip(failures, sizes, strict=True)]
        occupied = sum(int(np.count_nonzero(size)) for size in sizes)
        return cls(_largest_variance(residuals), n * share * (1 - share), n, occupied)

    @classmethod
    def joined(cls, every: Iterable[Burstiness]) -> Burstiness:
        """That of several measurements of alike servers, each around its own share."""
        clustered, independent, outcomes, batches = zip(*every, strict=True)
        return cls(math.fsum(clustered), math.fsum(independent), sum(outcomes), sum(batches))

    @property
    def presumed(self) -> float:
        """The design effect before any failure was seen: a time batch fails as a whole."""
        return self.outcomes / self.batches

    @property
    def measured(self) -> float | None:
        """The design effect of the failures that were seen, with nothing presumed; None where none was."""
        return max(1.0, self.clustered / self.independent) if self.independent else None

    @property
    def design_effect(self) -> float:
        """As many outcomes are worth one independent one (Kish 1965). What is presumed weighs as two failures do."""
        return max(1.0, (self.clustered + _WEIGHT * self.presumed) / (self.independent + _WEIGHT))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the design effect (Satterthwaite 1946): one, and one a burst, of what is measured."""
        if not self.clustered:
            return math.inf
        bursts = self.independent**2 / self.clustered
        return (1 + bursts) * (1 + _WEIGHT * self.presumed / self.clustered) ** 2


def time_batches_of(seconds: float) -> int:
    """How many time batches a share of failures needs: one a second, but no fewer than ``BATCHES``.

    Beyond 100 s a batch lasts a tenth of the square root of the seconds: a longer time has room for longer bursts.
    """
    return max(BATCHES, int(min(seconds, 10 * math.sqrt(seconds))))


def share_in_time(every: Sequence[Series]) -> Interval:
    """95 % interval of the share of failures: Wilson's on n over the measured design effect.

    Where nothing failed, each time batch counts as one outcome: how failures would have come nobody saw.
    """
    n = sum(len(batch) for series in every for batch in series)
    if not n:
        return None, None
    bursts = Burstiness.of(every)
    size = n / bursts.design_effect
    failed = math.fsum(math.fsum(batch) for series in every for batch in series)
    return score(failed / n * size, size, student_quantile(min(size - 1, bursts.freedom)))


def _largest_variance(residuals: Sequence[np.ndarray]) -> float:
    """The largest of the cluster-robust variances of the sum of ``residuals``, over the widths of blocks."""
    variances = [0.0]
    for width in (2**power for power in itertools.count()):
        blocks = [np.add.reduceat(series, range(0, len(series), width)) for series in residuals]
        count = sum(map(len, blocks))
        if count < _LEAST_BLOCKS:
            return max(variances)
        variances.append(math.fsum(np.concatenate(blocks) ** 2) * count / (count - 1))
    raise AssertionError("blocks become fewer with every width")
