"""What an interrupted exam left in its run folder: it is neither asked nor executed again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from shosei.log import Exec, Run, RunBegin, Score, attempts, read_log
from shosei.log.run import ATTEMPT_VARIABLE

# Which requests are in flight together, and how long is waited, decide on no answer.
_INCIDENTAL = ("concurrency", "timeout_s")

Key = tuple[str, str, int]  # suite, task, sample


class Done(msgspec.Struct, frozen=True):
    """Answers in the log of the attempt, and which programs among them have been executed."""

    answers: dict[Key, Score]
    executed: set[Key]


def unfinished(run: Run, config: Mapping[str, Any], hashes: Mapping[str, str], executes: bool) -> Done | None:
    """What is done of the exam that the run's last attempt began with the same settings and suites and did not finish.

    None: there is no such exam, and the next one is a new one.
    """
    known = attempts(run.log) if run.log.is_dir() else []
    attempt = int(os.environ.get(ATTEMPT_VARIABLE, "") or (known[-1] if known else 0))
    if attempt not in known:
        return None
    log = read_log(run.log, attempt)
    begins = [begin for begin in log.of(RunBegin) if begin.verb == "exam"]
    if not begins or any(_asked(begin.config) != _asked(config) or begin.hashes != hashes for begin in begins):
        return None
    answers = {(score.suite, score.item, score.sample): score for score in log.of(Score, "inference")}
    executed = {(event.suite, event.item, event.sample) for event in log.of(Exec) if event.outcome != "infra"}
    programs = {key for key, score in answers.items() if score.grader == "python" and not score.error}
    if len(answers) >= config["answers"] and not (executes and programs - executed):
        return None
    return Done(answers, executed)


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _INCIDENTAL}
