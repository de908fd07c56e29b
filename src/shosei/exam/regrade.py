"""Runs the programs of an exam again, without its server: as today's rules find them in the answers that were kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from shosei.errors import InputError
from shosei.exam.config import ExamConfig
from shosei.exam.counts import Counts
from shosei.exam.exam import Exam
from shosei.exam.programs import run_programs
from shosei.exam.resume import SampleKey
from shosei.log import Log, Score, Writer
from shosei.metrics.grading.programs import EXTRACTION_VERSION
from shosei.sandbox.proof import Proof
from shosei.wire.suite import Task


def programs_of(log: Log) -> dict[SampleKey, Score]:
    """The answers that hold programs. Raises InputError: there are none."""
    scores = log.of(Score, "inference")
    kept: dict[SampleKey, Score] = {}
    for score in scores:
        if score.grader == "python" and not score.error:  # the first: an earlier regrading wrote it again
            kept.setdefault((score.suite, score.item, score.sample), score)
    if not kept:
        raise InputError("the run has no programs to run again; other answers are graded again by 'shosei card'")
    return kept


def tasks_of(kept: dict[SampleKey, Score], tasks: Sequence[Task]) -> list[Task]:
    """The tasks that the programs are for. Raises InputError: there is none for a program, or one has changed."""
    known = {(task.suite, task.id): task for task in tasks}
    for (suite, item, _), score in kept.items():
        task = known.get((suite, item))
        if not task:
            raise InputError(f"the suites have no task '{item}' of '{suite}', for which the run has a program")
        if (task.grader, task.truth, task.question) != (score.grader, score.truth, score.question):
            raise InputError(
                f"task '{item}' of suite '{suite}' is not the one that was asked; name the suite as it was"
            )
    asked = {(suite, item) for suite, item, _ in kept}
    return [task for key, task in known.items() if key in asked]


async def run_again(
    config: ExamConfig,
    proof: Proof,
    kept: dict[SampleKey, Score],
    tasks: Sequence[Task],
    writer: Writer,
) -> Counts:
    """Run each of the programs ``kept`` against the tests of its task; return counts by suite.

    Each answer is written again, with an identity that says how its program was found: by it, scores that were found
    otherwise are not compared. Its last ``score`` and ``exec`` event counts.
    """
    samples = 1 + max(sample for _, _, sample in kept)
    exam = Exam(tasks, samples, writer, decoding={}, kept=kept)
    for _, score in exam.answered:
        writer.emit(msgspec.structs.replace(score, identity=_identity(score.identity, proof.packages)))
    await run_programs(config, proof, exam, writer, ())
    return exam.counts


def _identity(asked: str, packages: str) -> str:
    found = f"{asked} program found by version {EXTRACTION_VERSION}" + (f" with {packages}" if packages else "")
    return asked and hashlib.sha256(found.encode()).hexdigest()
