"""The answers that name a class or are free text: what their tasks add to precision, recall and F1, and floors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from shosei.log import Score
from shosei.metrics import stats
from shosei.metrics.accuracy.confusion import Average, Confusion, Measure, ratio
from shosei.metrics.grading import cmrc2018, naive_bayes
from shosei.metrics.grading.answer import split_thought
from shosei.metrics.grading.free_text import Overlap, best_overlap, exact_match
from shosei.metrics.grading.labels import predicted_labels
from shosei.metrics.grading.naive_bayes import MOST_QUESTIONS
from shosei.metrics.observed.answers import by_task, cluster_of, task_key
from shosei.metrics.stats.observations import Observation, Observations

Suites = dict[tuple[str, str], list[Score]]  # by name and kind, "label" or "text"
_KINDS = {"label": "label", "text": "text", "span": "text", "cmrc2018": "text"}  # of graders


def suites_of(scores: Iterable[Score]) -> Suites:
    """Those of the scores whose answers name a class or are free text."""
    suites: Suites = {}
    for score in scores:
        if kind := _KINDS.get(score.grader):
            suites.setdefault((score.suite, kind), []).append(score)
    return dict(sorted(suites.items()))


def pairs(scores: Sequence[Score]) -> list[tuple[str, str]]:
    """Truth and predicted class of each answer of a suite, whose classes are the truths that were asked for."""
    truths = [score.truth for score in scores]
    return list(zip(truths, predicted_labels((score.answer for score in scores), sorted({*truths})), strict=True))


def mean_overlap(scores: Sequence[Score], measure: Measure) -> float:
    """Mean overlap of free-text answers with the best of their references."""
    overlaps = [overlap_of(score) for score in scores]
    return stats.mean([getattr(overlap, measure) for overlap in overlaps])


def matching(scores: Sequence[Score]) -> list[float]:
    """1 for each free-text answer that is one of its references, width and punctuation aside, else 0."""
    return [float(_matches(score)) for score in scores]


def overlap_of(score: Score) -> Overlap:
    """Overlap of a free-text answer with the best of its references, by the rule of its grader."""
    answer, references = _text_and_references(score)
    if score.grader == "cmrc2018":
        return max((cmrc2018.overlap(answer, each) for each in references), key=lambda overlap: overlap.f1)
    return best_overlap(answer, references, score.lang)


def _matches(score: Score) -> bool:
    answer, references = _text_and_references(score)
    if score.grader == "cmrc2018":
        return cmrc2018.exact_match(answer, references)
    return exact_match(answer, references, score.lang)


def _text_and_references(score: Score) -> tuple[str, list[str]]:
    return split_thought(score.answer).text, [score.truth, *score.references]


def observations_of(suites: Suites, measure: Measure, average: Average = "macro") -> Observations:
    """One a task. With classes it adds how often its truth was answered by what; with free text, its overlap."""
    each = []
    for (suite, grader), scores in suites.items():
        labelled = zip(scores, pairs(scores), strict=True) if grader == "label" else ()
        pair_of = {(score.item, score.sample): pair for score, pair in labelled}
        for samples in by_task(scores):
            adds: dict[str, float]
            if grader == "text":
                adds = {_name(suite, "sum"): mean_overlap(samples, measure), _name(suite, "items"): 1}
            else:
                adds = {**Counter(_name(suite, *pair_of[score.item, score.sample]) for score in samples)}
            each.append(Observation(task_key(samples[0]), cluster_of(samples[0]), adds))
    return Observations(each, _mean_over_suites(measure, average), paired=True)


def _name(*parts: str) -> str:
    return msgspec.json.encode(parts).decode()


def _mean_over_suites(measure: Measure, average: Average) -> Callable[[Sequence[str], np.ndarray], np.ndarray]:
    """The statistic of ``observations_of``: the mean over those suites that have any answers."""

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


def commonest(scores: Sequence[Score]) -> str:
    """The truth that most tasks have; of several, the first in order of code points."""
    counts = Counter(score.truth for score in scores)
    return min(counts, key=lambda truth: (-counts[truth], truth))


def majority(scores: Sequence[Score], measure: Measure) -> float:
    """Macro average of always answering the commonest class."""
    answer = commonest(scores)
    return float(Confusion.counted(Counter((score.truth, answer) for score in scores)).average(measure))


def chance(scores: Sequence[Score], measure: Measure) -> float:
    """Macro average of a uniform guess over the classes, from the expected counts."""
    shares = [count / len(scores) for count in Counter(score.truth for score in scores).values()]
    guess = 1 / len(shares)
    match measure:
        case "precision":
            return stats.mean(shares)
        case "recall":
            return guess
        case "f1":
            return stats.mean([2 * share * guess / (share + guess) for share in shares])


def can_learn(scores: Sequence[Score]) -> bool:
    """Whether every task's question is in the log, and more than one cluster of them."""
    return all(score.question for score in scores) and len({score.cluster for score in scores}) > 1


def naive_bayes_floor(scores: Sequence[Score], measure: Measure) -> float | None:
    """Macro average of cross-validated naive Bayes on the questions' characters; None unless it ``can_learn``.

    Of more than ``MOST_QUESTIONS`` tasks, evenly spaced ones are classified.
    """
    if len(scores) > MOST_QUESTIONS:
        scores = [scores[number * len(scores) // MOST_QUESTIONS] for number in range(MOST_QUESTIONS)]
    if not can_learn(scores):
        return None
    truths = tuple(score.truth for score in scores)
    predicted = _predicted(tuple(score.question for score in scores), truths, tuple(score.cluster for score in scores))
    return float(Confusion.counted(Counter(zip(truths, predicted, strict=True))).average(measure))


@lru_cache(maxsize=2)
def _predicted(questions: tuple[str, ...], truths: tuple[str, ...], clusters: tuple[str, ...]) -> list[str]:
    """Precision, recall and F1 of both phases ask for the same."""
    return naive_bayes.cross_validated(questions, truths, clusters)
