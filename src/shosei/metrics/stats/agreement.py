"""How far two who judge the same answers agree, beyond what chance gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shosei.metrics.stats.intervals import Interval, wilson_clustered


@dataclass(frozen=True, slots=True)
class Agreement:
    """Answers that both have judged: whether the one and the other let each pass, and in which cluster it is."""

    pairs: Sequence[tuple[bool, bool]]
    clusters: Sequence[str]

    @classmethod
    def of(cls, each: Iterable[tuple[str, bool, bool]]) -> Agreement:
        """From cluster, and what the one and the other say, of each answer."""
        rows = list(each)
        return cls([(one, other) for _, one, other in rows], [cluster for cluster, _, _ in rows])

    def count(self, one: bool, other: bool) -> int:
        """How many answers they judged so."""
        return self.pairs.count((one, other))

    @property
    def share(self) -> float:
        """Of the answers, those that both judge alike; at least one is needed."""
        return sum(one == other for one, other in self.pairs) / len(self.pairs)

    @property
    def share_interval(self) -> Interval:
        """95 % interval of ``share``."""
        clusters: dict[str, list[float]] = {}
        for cluster, (one, other) in zip(self.clusters, self.pairs, strict=True):
            clusters.setdefault(cluster, []).append(float(one == other))
        return wilson_clustered(list(clusters.values()))

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa (Cohen 1960); None where both say the same of every answer, which chance explains."""
        return self._beyond_chance(self.share)

    @property
    def kappa_interval(self) -> Interval:
        """95 % interval of ``kappa``: that of ``share``, with chance taken as known, as in Cohen 1960."""
        low, high = self.share_interval
        if low is None or high is None:
            return None, None
        return self._beyond_chance(low), self._beyond_chance(high)

    def _beyond_chance(self, share: float) -> float | None:
        n = len(self.pairs)
        one, other = (sum(pair[place] for pair in self.pairs) for place in (0, 1))
        chance = (one * other + (n - one) * (n - other)) / n**2
        return max(-1.0, (share - chance) / (1 - chance)) if chance < 1 else None
