"""Grading: raw answers beside their truths become right or wrong, the same way for training and for inference.

Pure functions. Any change of what they return takes a new ``GRADING_VERSION``, because it makes
scores incomparable.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal

from shosei.log.events import Exec, Score
from shosei.metrics.grading.answer import normalise
from shosei.metrics.grading.choices import extract_choice
from shosei.metrics.grading.free_text import exact_match
from shosei.metrics.grading.labels import predicted_label

GRADING_VERSION = 1

Outcomes = Mapping[tuple[str, str, int], str]

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMBER = re.compile(r"(?:(?<![\w)])-)?\d+(?:\.\d+)?")


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
            return exact_match(score.answer, [score.truth, *score.references])
        case "number":
            number = extract_number(score.answer)
            return number is not None and number == extract_number(score.truth)
        case "choice":
            return extract_choice(score.answer) == score.truth
        case "label":
            return predicted_label(score.answer, [score.truth]) == score.truth
        case "python":
            outcome = outcomes.get((score.suite, score.item, score.sample), "infra")
            return None if outcome == "infra" else outcome == "pass"
        case unknown:
            raise ValueError(f"no grader '{unknown}'")


def extract_number(answer: str) -> Decimal | None:
    """The last number in an answer, or the first after its last ``####``; None if there is none.

    Width is folded (NFKC) and commas between thousands are left out. Numerals such as 十八 are no numbers here.
    """
    text = unicodedata.normalize("NFKC", answer).replace("\u2212", "-")
    _, marked, end = text.rpartition("####")
    found = _NUMBER.findall(_THOUSANDS.sub("", end))
    return Decimal(found[0 if marked else -1]) if found else None
