"""What no understanding gives: the scores that a classification must beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from shosei.log import Score
from shosei.metrics import stats
from shosei.metrics.accuracy import naive_bayes
from shosei.metrics.accuracy.confusion import Confusion, Measure
from shosei.metrics.accuracy.naive_bayes import MOST_QUESTIONS


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
