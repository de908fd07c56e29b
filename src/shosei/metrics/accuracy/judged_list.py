"""Each answer with what judges, people and its grader say, one JSON object a line: what a person reads and labels."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shosei.log import Log, Score
from shosei.metrics.accuracy.judged import grades
from shosei.metrics.grading.verdict import judged_text
from shosei.metrics.observed.judges import Judge, judges, key_of, labels

_WORDS = {True: "pass", False: "fail", None: ""}


class JudgedAnswer(msgspec.Struct, kw_only=True):
    """``label`` is a person's, to be filled in where it is empty; ``right`` is the grader's, None if it cannot tell."""

    suite: str
    item: str
    sample: int
    label: str
    verdict: str  # pass | fail | empty where there is none
    reason: str
    judge: str
    rubric: str
    question: str
    answer: str
    truth: str
    references: list[str]
    right: bool | None


def judged_list(log: Log, scores: Sequence[Score]) -> bytes:
    """A line for each answer and judge, in the order of suite, item and sample."""
    answers = sorted((score for score in scores if not score.error), key=key_of)
    people, rights = labels(log, answers), grades(log, answers)
    lines = [
        _judged(score, judge, people.get(key_of(score)), rights.get(key_of(score)))
        for judge in judges(log, answers)
        for score in answers
        if key_of(score) in judge.votes
    ]
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def _judged(score: Score, judge: Judge, label: bool | None, right: bool | None) -> JudgedAnswer:
    return JudgedAnswer(
        suite=score.suite,
        item=score.item,
        sample=score.sample,
        label=_WORDS[label],
        verdict=_WORDS[judge.passes(key_of(score))],
        reason=judge.reason(key_of(score)),
        judge=judge.verdict.judge,
        rubric=judge.rubric,
        question=score.question,
        answer=judged_text(score),
        truth=score.truth,
        references=score.references,
        right=right,
    )
