"""Who rates alike, people or model judges, and what their ratings come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from shosei.log import Rating
from shosei.metrics import stats
from shosei.metrics.metric import Figure

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Population:
    """Who rates alike: people, or model judges. ``asked`` are their last ratings, also those without an answer."""

    asked: list[Rating]

    @classmethod
    def of(cls, ratings: Sequence[Rating]) -> Population:
        """Each rater's last word on each turn of each answer. Silence does not take back what was said, a withdrawal
        does: it is as if that rater had never been asked."""
        last: dict[tuple[str, str, int], Rating] = {}
        for rating in sorted(ratings, key=rated_ns):
            key = (rating.rater, rating.request, rating.turn)
            if rating.withdrawn:
                last.pop(key, None)
            elif rating.value is not None or key not in last:
                last[key] = rating
        return cls(list(last.values()))

    @property
    def given(self) -> list[Rating]:
        """The ratings that were given."""
        return [rating for rating in self.asked if rating.value is not None]

    @property
    def marks(self) -> list[list[float]]:
        """1 for a satisfied rating and 0 for another, by rater."""
        return _by_rater((rating.rater, float(is_satisfied(rating))) for rating in self.given)

    @property
    def stars(self) -> list[list[int]]:
        """By rater, of those who gave stars."""
        return _by_rater((rating.rater, rating.value or 0) for rating in self.given if rating.scale == "stars")

    def satisfied(self) -> tuple[float | None, stats.Interval]:
        """Share of satisfied ratings, and its interval over raters."""
        marks = self.marks
        share = stats.mean([mark for rater in marks for mark in rater]) if marks else None
        return share, stats.wilson_clustered(marks)

    def mean_stars(self) -> Figure:
        """With a bootstrap over raters."""
        stars = self.stars
        sums, counts = (np.array([f(rater) for rater in stars], dtype=np.int64) for f in (sum, len))
        low, high = stats.cluster_bootstrap(len(stars), lambda drawn: (drawn @ sums) / (drawn @ counts))
        ci = None if low is None else max(1.0, low), None if high is None else min(5.0, high)
        return Figure(int(sums.sum()) / int(counts.sum()) if stars else None, "stars", "higher", ci, len(stars))

    def response_rate(self) -> Figure:
        """Ratings given, of those asked for; unknown where nobody was seen to stay silent."""
        if len(self.given) == len(self.asked):
            return Figure(None, "", "higher")
        clusters = _by_rater((rating.rater, float(rating.value is not None)) for rating in self.asked)
        rate = len(self.given) / len(self.asked)
        return Figure(rate, "", "higher", stats.wilson_clustered(clusters), len(clusters))


def is_satisfied(rating: Rating) -> bool:
    """4 or 5 stars, or a thumb up."""
    return (rating.value or 0) >= 4 if rating.scale == "stars" else rating.value == 1


def rated_ns(rating: Rating) -> int:
    """When it was given, in Unix time; when it was written down, where a file did not say."""
    return rating.rated_wall_ns or rating.wall_ns


def _by_rater(values: Iterable[tuple[str, T]]) -> list[list[T]]:
    raters: dict[str, list[T]] = {}
    for rater, value in values:
        raters.setdefault(rater, []).append(value)
    return list(raters.values())
