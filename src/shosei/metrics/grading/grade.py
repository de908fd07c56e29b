"""Grading: raw answers beside their truths become right or wrong, the same way for training and for inference.

Pure functions. Any change of what they return takes a new ``GRADING_VERSION``, because it makes
scores incomparable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shosei.log.events import Exec, Score
from shosei.metrics.grading.answer import normalise
from shosei.metrics.grading.choices import extract_choice
from shosei.metrics.grading.free_text import exact_match
from shosei.metrics.grading.labels import predicted_label
from shosei.metrics.grading.numbers import is_right

GRADING_VERSION = 2

Outcomes = Mapping[tuple[str, str, int], str]


def outcomes(executions: Iterable[Exec]) -> dict[tuple[str, str, int], str]:
    """What became of each executed program, by (suite, item, sample): the second argument of ``grade``."""
    return {(event.suite, event.item, event.sample): event.outcome for event in executions}


def grade(score: Score, outcomes: Outcomes) -> bool | None:
    """Whether the answer is right; a failed request is a wrong answer.

    None: a program that nobody could execute (no ``exec`` event, or its outcome is ``infra``). It is neither right nor
    wrong, and must be counted apart. Raises ValueError for a grader this version does not know.
    """
    if score.error:
        return False
    match score.grader:
        case "exact":
            return normalise(score.answer) in map(normalise, [score.truth, *score.references])
        case "text":
            return exact_match(score.answer, [score.truth, *score.references], score.lang)
        case "number":
            return is_right(score.answer, score.truth, score.lang == "ja")
        case "choice":
            return extract_choice(score.answer) == score.truth
        case "label":
            return predicted_label(score.answer, [score.truth]) == score.truth
        case "python":
            outcome = outcomes.get((score.suite, score.item, score.sample), "infra")
            return None if outcome == "infra" else outcome == "pass"
        case unknown:
            raise ValueError(f"no grader '{unknown}'")
