"""Confusion matrices, and the precision, recall and F1 that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Measure = Literal["precision", "recall", "f1"]
Average = Literal["macro", "micro", "weighted"]

MEASURES: tuple[Measure, ...] = ("precision", "recall", "f1")
AVERAGES: tuple[Average, ...] = ("macro", "micro", "weighted")


@dataclass(frozen=True, slots=True)
class Confusion:
    """One or many confusion matrices over the same classes, by what of them the figures need; each (..., classes).

    Zero division gives 0, as scikit-learn's ``zero_division=0``. Averages run over the classes that occur as truth: an
    answer that names no class is a column of its own, lowers its true class's recall, and is not a class to be found.
    """

    labels: list[str]
    right: np.ndarray
    predicted: np.ndarray
    true: np.ndarray

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]], counts: np.ndarray) -> Confusion:
        """From how often each of ``pairs`` of truth and prediction occurs: ``counts`` (..., pairs)."""
        labels = sorted({label for pair in pairs for label in pair})
        index = {label: number for number, label in enumerate(labels)}
        right, predicted, true = (np.zeros((*counts.shape[:-1], len(labels))) for _ in range(3))
        for number, (truth, prediction) in enumerate(pairs):
            count = counts[..., number]
            true[..., index[truth]] += count
            predicted[..., index[prediction]] += count
            if truth == prediction:
                right[..., index[truth]] += count
        return cls(labels, right, predicted, true)

    @classmethod
    def counted(cls, pairs: Mapping[tuple[str, str], int]) -> Confusion:
        """One matrix, from the count of each pair of truth and prediction."""
        return cls.of(list(pairs), np.array(list(pairs.values()), dtype=float))

    def per_class(self, measure: Measure) -> np.ndarray:
        """Precision, recall or F1 of each class, (..., classes)."""
        match measure:
            case "precision":
                return ratio(self.right, self.predicted)
            case "recall":
                return ratio(self.right, self.true)
            case "f1":
                return ratio(2 * self.right, self.predicted + self.true)

    def average(self, measure: Measure, average: Average = "macro") -> np.ndarray:
        """Macro, micro (all three measures are the share of right ones) or weighted (by true count) average, (...)."""
        match average:
            case "macro":
                occurs = self.true > 0
                return ratio((self.per_class(measure) * occurs).sum(axis=-1), occurs.sum(axis=-1))
            case "micro":
                return ratio(self.right.sum(axis=-1), self.true.sum(axis=-1))
            case "weighted":
                return ratio((self.per_class(measure) * self.true).sum(axis=-1), self.true.sum(axis=-1))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part`` over ``whole``, 0 where there is nothing below."""
    shares: np.ndarray = np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0)
    return shares
