"""Which answers accuracy is computed from, what they are answers to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from shosei.log import Log, RunBegin, Score
from shosei.metrics.metric import Words, text
from shosei.metrics.observed.tasks import submitted
from shosei.metrics.value import Unmeasurable

CUT = "length"  # the finish reason of an answer that came to its limit of tokens
CUT_LIMIT = 0.02  # more such answers and the limit decides on the score
INFRA_LIMIT = 0.02  # more tasks without a result than this and the run says nothing about the model


def by_epoch(log: Log) -> dict[int, list[Score]]:
    """Each checkpoint's scores, failed requests among them. A restart may answer a task again: the last one counts."""
    epochs: dict[int, dict[tuple[str, str, int], Score]] = {}
    for score in log.of(Score):
        epochs.setdefault(score.epoch, {})[score.suite, score.item, score.sample] = score
    return {epoch: list(epochs[epoch].values()) for epoch in sorted(epochs)}


def answered(log: Log) -> tuple[list[Score], Words]:
    """Scores with an answer, of the last checkpoint seen; and why the measurement is invalid, if it is.

    Of an agent system, the scores of its tasks, failed ones among them: they are wrong, as the system is what is
    measured. Raises Unmeasurable: not one request was answered.
    """
    if submitted(log):
        return _of_tasks(log)
    scores = list(by_epoch(log).values())[-1]
    found = [score for score in scores if not score.error]
    failed = len(scores) - len(found)
    if not found:
        raise Unmeasurable("invalid", text("accuracy.all_failed", failed=failed))
    asked = max((int(begin.config.get("answers", 0)) for begin in log.of(RunBegin)), default=0)
    if scores[0].phase == "inference" and len(scores) < asked:
        return found, text("accuracy.lost", recorded=len(scores), asked=asked)
    if failed > INFRA_LIMIT * len(scores):
        return found, text("accuracy.too_many_failed", failed=failed, asked=len(scores), limit=f"{INFRA_LIMIT:.0%}")
    return found, ""


def _of_tasks(log: Log) -> tuple[list[Score], Words]:
    """The scores of an agent system's tasks; an exam of the same suite in the same attempt is not its work."""
    tasks = {(task.suite, task.item, task.sample): task for task in submitted(log)}
    scores = {(score.suite, score.item, score.sample): score for score in log.of(Score) if score.task}
    found = [
        msgspec.structs.replace(scores[key], error=task.error or scores[key].error)
        for key, task in tasks.items()
        if key in scores
    ]
    if not found:
        raise Unmeasurable("not_measured", text("agents.ungraded", tasks=len(tasks)))
    begun = [begin for begin in log.of(RunBegin) if begin.verb == "agents"]
    asked = max([len(tasks), *(int(begin.config.get("answers", 0)) for begin in begun)])
    return found, text("agents.lost", recorded=len(found), tasks=asked) if len(found) < asked else ""


def by_task(scores: Iterable[Score]) -> list[list[Score]]:
    """The samples of each task."""
    tasks: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        tasks.setdefault((score.suite, score.item), []).append(score)
    return list(tasks.values())


def task_key(score: Score) -> str:
    """Names a task wherever it is asked. With another truth or grader it is another task."""
    judged_by = msgspec.json.encode([score.grader, score.truth, score.references])
    return f"{score.suite}/{score.item}/{hashlib.sha256(judged_by).hexdigest()[:16]}"


def cluster_of(score: Score) -> str:
    """Names what a task is not independent of."""
    return f"{score.suite}/{score.cluster}"
