"""Each answer with its grade, one JSON object a line: what a person reads after the numbers."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from shosei.log import Exec, Log, Score
from shosei.metrics.grading.answer import normalise
from shosei.metrics.grading.choices import extract_choice
from shosei.metrics.grading.grade import grade, outcomes
from shosei.metrics.grading.labels import predicted_label
from shosei.metrics.grading.numbers import final_number, written
from shosei.metrics.grading.programs import extract_code
from shosei.metrics.observed.answers import by_epoch

AMBIGUOUS = "(ambiguous)"


class Item(msgspec.Struct, kw_only=True):
    """``extracted`` is what was graded of the answer; ``right`` is None where nobody could tell."""

    suite: str
    item: str
    sample: int
    question: str
    answer: str
    extracted: str
    truth: str
    references: list[str]
    right: bool | None
    outcome: str  # of a program; or the request's error
    oracle: str  # of a program: outside | in_process


def items(log: Log) -> bytes:
    """The answers of the last checkpoint, or of the exam, as JSON Lines in the order of suite, item and sample."""
    scores = list(by_epoch(log).values())[-1:]
    executions = {(event.suite, event.item, event.sample): event for event in log.of(Exec)}
    ended = outcomes(executions.values())
    labels: dict[str, set[str]] = {}
    for score in scores[0] if scores else ():
        labels.setdefault(score.suite, set()).add(score.truth)
    lines = []
    for score in sorted(scores[0] if scores else (), key=lambda score: (score.suite, score.item, score.sample)):
        execution = executions.get((score.suite, score.item, score.sample))
        item = Item(
            suite=score.suite,
            item=score.item,
            sample=score.sample,
            question=score.question,
            answer=score.answer,
            extracted=extracted(score, labels[score.suite]),
            truth=score.truth,
            references=score.references,
            right=grade(score, ended),
            outcome=score.error or (execution.outcome if execution else ""),
            oracle=execution.oracle if execution else "",
        )
        lines.append(msgspec.json.encode(item) + b"\n")
    return b"".join(lines)


def extracted(score: Score, labels: Collection[str]) -> str:
    """The part of an answer that its grader looks at. ``labels``: the classes of its suite."""
    match score.grader:
        case "number":
            number = final_number(score.answer, score.lang == "ja")
            return AMBIGUOUS if number.outcome == "ambiguous" else "" if number.value is None else written(number.value)
        case "choice":
            return extract_choice(score.answer)
        case "label":
            return predicted_label(score.answer, sorted(labels))
        case "python":
            return extract_code(score.answer)
    return normalise(score.answer)
