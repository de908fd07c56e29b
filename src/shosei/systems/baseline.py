"""A second system beside the first, with the tokens that the first one needed, so that both can be compared."""

from __future__ import annotations

from math import fsum

import msgspec

from shosei.log import Exec, Log, Score, Workflow, Writer
from shosei.metrics.grading.grade import outcomes


def mean_tokens_of_task(log: Log) -> int | None:
    """The tokens of a task that the system needed on average; None if it asked the model for none."""
    spent = [
        event.tokens_in + event.tokens_out
        for event in log.of(Workflow)
        if not event.baseline and event.tokens_in is not None and event.tokens_out is not None
    ]
    return round(fsum(spent) / len(spent)) or None if spent else None


def is_beside(log: Log) -> bool:
    """Whether a baseline's tasks stand in the system's log."""
    return any(event.baseline for event in log.of(Workflow))


def relay(baseline: Log, writer: Writer) -> None:
    """Write the baseline's tasks into the system's log, each with what it takes to grade it."""
    scores = {(score.suite, score.item, score.sample): score for score in baseline.of(Score)}
    verdicts = outcomes(baseline.of(Exec))
    for event in baseline.of(Workflow):
        key = event.suite, event.item, event.sample
        score = scores[key]
        writer.emit(
            msgspec.structs.replace(
                event,
                baseline=True,
                grader=score.grader,
                truth=score.truth,
                answer=score.answer,
                references=score.references,
                choices=score.choices,
                lang=score.lang,
                question=score.question,
                outcome=verdicts.get(key, ""),
            )
        )
