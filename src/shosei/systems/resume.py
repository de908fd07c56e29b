"""What an interrupted measurement left in its run folder: those tasks are not given again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from shosei.log import Run, RunBegin, Workflow, attempts, read_log
from shosei.log.run import ATTEMPT_VARIABLE

Key = tuple[str, str, int]  # suite, item, sample


def unfinished(run: Run, config: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[Key, Workflow] | None:
    """The tasks that ended, of the measurement that the run's last attempt began in the same way and did not finish.

    None: there is no such measurement, and the next one is a new one.
    """
    known = attempts(run.log) if run.log.is_dir() else []
    attempt = int(os.environ.get(ATTEMPT_VARIABLE, "") or (known[-1] if known else 0))
    if attempt not in known:
        return None
    log = read_log(run.log, attempt)
    begins = [begin for begin in log.of(RunBegin) if begin.verb == "agents"]
    if not begins or any(dict(begin.config) != dict(config) or begin.hashes != hashes for begin in begins):
        return None
    workflows = log.of(Workflow)
    ended = {(event.suite, event.item, event.sample): event for event in workflows if not event.baseline}
    compared = not config["baseline"] or any(event.baseline for event in workflows)
    return None if len(ended) >= config["answers"] and compared else ended
