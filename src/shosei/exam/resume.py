"""What an interrupted exam left in its run folder: it is neither asked nor executed again."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from shosei.log import Exec, Log, Run, RunBegin, Score, attempts, read_log
from shosei.log.run import ATTEMPT_VARIABLE

SampleKey = tuple[str, str, int]  # suite, task, sample


class Kept(msgspec.Struct, frozen=True):
    """Answers in the log of the attempt, and which programs among them have been executed."""

    answers: dict[SampleKey, Score] = {}
    executed: set[SampleKey] = set()

    @property
    def unexecuted(self) -> set[SampleKey]:
        """Answers whose programs are still to be run."""
        programs = {key for key, score in self.answers.items() if score.grader == "python" and not score.error}
        return programs - self.executed


NOTHING = Kept()


def unfinished(
    run: Run,
    verb: str,
    config: Mapping[str, Any],
    hashes: Mapping[str, str],
    is_whole: Callable[[Log, Kept], bool],
    incidental: Collection[str] = (),
    final: Callable[[Score], bool] = lambda score: True,
) -> Kept | None:
    """What is done of that which ``verb`` began in the run's last attempt with this config and did not finish.

    ``incidental`` keys of the config may differ. ``is_whole`` says whether anything is left once all is answered. What
    is not ``final`` is not kept. None: there is no such attempt, and the next one is a new one.
    """
    log = _last_attempt(run)
    begins = [begin for begin in log.of(RunBegin) if begin.verb == verb] if log else []

    def asked(config: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in config.items() if key not in incidental}

    if not (log and begins) or any(asked(each.config) != asked(config) or each.hashes != hashes for each in begins):
        return None
    kept = Kept(
        {(score.suite, score.item, score.sample): score for score in log.of(Score, "inference") if final(score)},
        {(event.suite, event.item, event.sample) for event in log.of(Exec) if event.outcome != "infra"},
    )
    return None if len(kept.answers) >= config["answers"] and is_whole(log, kept) else kept


def _last_attempt(run: Run) -> Log | None:
    """The log of the attempt that a verb would join."""
    known = attempts(run.log) if run.log.is_dir() else []
    attempt = int(os.environ.get(ATTEMPT_VARIABLE, "") or (known[-1] if known else 0))
    return read_log(run.log, attempt) if attempt in known else None
