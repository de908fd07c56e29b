"""Each answer with its grade, one JSON object a line: what a person reads after the numbers."""

from __future__ import annotations

import msgspec

from shosei.log import Exec, Log, Score
from shosei.metrics.grading.grade import COMMAND, GRADING_VERSION, answer_of_score, classes, mark, outcomes
from shosei.metrics.observed.answers import by_epoch
from shosei.progress import progress


class Item(msgspec.Struct, kw_only=True):
    """``extracted``: what was graded of the answer, or the program that ran. ``right``: None if nobody could tell."""

    suite: str
    item: str
    sample: int
    question: str
    answer: str  # without what was thought
    extracted: str
    truth: str
    references: list[str]
    right: bool | None
    outcome: str  # of a program; or the request's error; or why nothing was extracted
    oracle: str  # of a program: outside | in_process; or command, which judged
    thought: str = ""
    choices: list[str] = []
    grading_version: int = 1


def items(log: Log) -> bytes:
    """The answers of the last checkpoint, or of the exam, as JSON Lines in the order of suite, item and sample."""
    scores = [score for last in list(by_epoch(log).values())[-1:] for score in last]
    executions = {(event.suite, event.item, event.sample): event for event in log.of(Exec)}
    ended, of_suite = outcomes(executions.values()), classes(scores)
    ordered = sorted(scores, key=lambda score: (score.suite, score.item, score.sample))

    def line(score: Score) -> bytes:
        execution = executions.get((score.suite, score.item, score.sample))
        parts, marked = answer_of_score(score), mark(score, ended, of_suite)
        item = Item(
            suite=score.suite,
            item=score.item,
            sample=score.sample,
            question=score.question,
            answer=parts.text,
            thought=parts.thought,
            extracted=_program(execution) or marked.extracted,
            truth=score.truth,
            references=score.references,
            choices=score.choices,
            right=marked.right,
            outcome=marked.outcome,
            oracle=execution.oracle if execution else "",
            grading_version=GRADING_VERSION,
        )
        return msgspec.json.encode(item) + b"\n"

    with progress("grading the answers", len(ordered), "answers") as work:
        return b"".join(map(line, work.over(ordered)))


def _program(execution: Exec | None) -> str:
    """The answer's program as it was run; empty if none was, or if what ran was a grader."""
    return execution.program if execution and execution.oracle != COMMAND else ""
