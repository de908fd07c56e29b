"""The answers that name a class or are free text, and what their tasks add to precision, recall and F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from shosei.log import Score
from shosei.metrics import stats
from shosei.metrics.accuracy.answers import by_task, cluster_of, task_key
from shosei.metrics.accuracy.confusion import Average, Confusion, Measure, ratio
from shosei.metrics.accuracy.free_text import best_overlap, exact_match
from shosei.metrics.accuracy.grading import predicted_labels
from shosei.metrics.units import Unit, Units

Suites = dict[tuple[str, str], list[Score]]  # by name and grader, "label" or "text"


def suites_of(scores: Iterable[Score]) -> Suites:
    """Those of the scores whose answers name a class or are free text."""
    suites: Suites = {}
    for score in scores:
        if score.grader in ("label", "text"):
            suites.setdefault((score.suite, score.grader), []).append(score)
    return dict(sorted(suites.items()))


def pairs(scores: Sequence[Score]) -> list[tuple[str, str]]:
    """Truth and predicted class of each answer of a suite, whose classes are the truths that were asked for."""
    truths = [score.truth for score in scores]
    return list(zip(truths, predicted_labels((score.answer for score in scores), sorted({*truths})), strict=True))


def mean_overlap(scores: Sequence[Score], measure: Measure) -> float:
    """Mean overlap of free-text answers with the best of their references."""
    found = [best_overlap(score.answer, [score.truth, *score.references]) for score in scores]
    return stats.mean([getattr(each, measure) for each in found])


def matching(scores: Sequence[Score]) -> list[float]:
    """1 for each free-text answer that is one of its references, width and punctuation aside, else 0."""
    return [float(exact_match(score.answer, [score.truth, *score.references])) for score in scores]


def units_of(suites: Suites, measure: Measure, average: Average = "macro") -> Units:
    """One unit a task. With classes it adds how often its truth was answered by what; with free text, its overlap."""
    units = []
    for (suite, grader), scores in suites.items():
        said = zip(scores, pairs(scores), strict=True) if grader == "label" else ()
        pair_of = {(score.item, score.sample): pair for score, pair in said}
        for samples in by_task(scores):
            adds: dict[str, float]
            if grader == "text":
                adds = {_name(suite, "sum"): mean_overlap(samples, measure), _name(suite, "items"): 1}
            else:
                adds = {**Counter(_name(suite, *pair_of[score.item, score.sample]) for score in samples)}
            units.append(Unit(task_key(samples[0]), cluster_of(samples[0]), adds))
    return Units(units, _mean_over_suites(measure, average), paired=True)


def _name(*parts: str) -> str:
    return msgspec.json.encode(parts).decode()


def _mean_over_suites(measure: Measure, average: Average) -> Callable[[Sequence[str], np.ndarray], np.ndarray]:
    """The statistic of ``units_of``: the mean over those suites that have any answers."""

    def statistic(names: Sequence[str], sums: np.ndarray) -> np.ndarray:
        suites: dict[tuple[str, int], dict[tuple[Any, ...], np.ndarray]] = {}
        for number, name in enumerate(names):
            suite, *parts = msgspec.json.decode(name)
            suites.setdefault((suite, len(parts)), {})[tuple(parts)] = sums[..., number]
        total, answering = np.zeros(sums.shape[:-1]), np.zeros(sums.shape[:-1])
        for (_, parts_of_a_name), columns in suites.items():
            if parts_of_a_name == 1:
                items = columns["items",]
                value = ratio(columns["sum",], items)
            else:
                counts = np.stack(list(columns.values()), axis=-1)
                items = counts.sum(axis=-1)
                value = Confusion.of(list(columns), counts).average(measure, average)
            total, answering = total + value, answering + (items > 0)
        return ratio(total, answering)

    return statistic
