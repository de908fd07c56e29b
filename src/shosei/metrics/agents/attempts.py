"""The attempts at tasks, by a system or by its baseline, with what they were worth and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shosei.log import Exec, Log, Score, Workflow
from shosei.metrics import stats
from shosei.metrics.accuracy.answers import answered, cluster_of, task_key
from shosei.metrics.accuracy.grading import Outcomes, grade, outcomes
from shosei.metrics.agents.tasks import given_to_baseline, submitted
from shosei.metrics.metric import Figure
from shosei.metrics.units import Unit, Units, share


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sample of a task."""

    task: Workflow
    score: Score
    solved: bool


def by_system(log: Log) -> list[Attempt]:
    """The system's attempts whose answers could be graded."""
    scores = {(score.suite, score.item, score.sample): score for score in answered(log)[0]}
    found = [(task, scores.get((task.suite, task.item, task.sample))) for task in submitted(log)]
    return _graded([(task, score) for task, score in found if score], outcomes(log.of(Exec)))


def by_baseline(log: Log) -> list[Attempt]:
    """The single agent's. Its programs were executed in another run, so they are none of these."""
    return _graded([(task, _score(task)) for task in given_to_baseline(log)], {})


def _score(task: Workflow) -> Score:
    """What a baseline's task carries to be graded."""
    return Score(
        suite=task.suite, item=task.item, cluster=task.cluster, grader=task.grader, truth=task.truth,
        answer=task.answer, sample=task.sample, references=task.references, error=task.error,
    )  # fmt: skip


def _graded(found: Sequence[tuple[Workflow, Score]], executed: Outcomes) -> list[Attempt]:
    graded = [(task, score, grade(score, executed)) for task, score in found]
    return [Attempt(task, score, solved) for task, score, solved in graded if solved is not None]


def units(attempts: Sequence[Attempt]) -> Units:
    """One unit a task: its share of samples that solved it."""
    tasks: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        tasks.setdefault(task_key(attempt.score), []).append(attempt)
    return Units(
        [
            Unit(
                key,
                cluster_of(samples[0].score),
                {"top": stats.mean([float(it.solved) for it in samples]), "bottom": 1},
            )
            for key, samples in tasks.items()
        ],
        share,
        paired=True,
    )


def tokens(task: Workflow) -> float | None:
    """Tokens of all its calls, in and out."""
    return None if task.tokens_in is None or task.tokens_out is None else float(task.tokens_in + task.tokens_out)


def seconds(task: Workflow) -> float:
    """From submission to the end."""
    return (task.end_ns - task.scheduled_ns) / 1e9


def calls(task: Workflow) -> float | None:
    """Calls to the model."""
    return None if task.calls is None else float(task.calls)


@dataclass(frozen=True, slots=True)
class Cost:
    """Something that a task takes; ``of`` a task it is None where nobody counted."""

    unit: str
    of: Callable[[Workflow], float | None]


COSTS = {"tokens": Cost("tokens/task", tokens), "seconds": Cost("s/task", seconds), "calls": Cost("calls/task", calls)}


def mean_cost(attempts: Sequence[Attempt], cost: Cost) -> float | None:
    """A task's mean cost; None where the cost of some is not known."""
    costs = [cost.of(attempt.task) for attempt in attempts]
    known = [value for value in costs if value is not None]
    return stats.mean(known) if known and len(known) == len(costs) else None


def cost_per_solved(attempts: Sequence[Attempt], cost: Cost) -> Figure:
    """What all attempts cost, over those that solved their task: failures are paid for too.

    A ratio over clusters of tasks (delta method, Cochran 1977). None where nothing was solved or a cost is not known.
    """
    clusters: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        clusters.setdefault(cluster_of(attempt.score), []).append(attempt)
    solved = [float(sum(attempt.solved for attempt in cluster)) for cluster in clusters.values()]
    mean = mean_cost(attempts, cost)
    if mean is None or not any(solved):
        return Figure(None, cost.unit, "lower", n=len(clusters))
    spent = [math.fsum(cost.of(attempt.task) or 0.0 for attempt in cluster) for cluster in clusters.values()]
    interval = stats.ratio_interval(spent, solved)
    return Figure(math.fsum(spent) / math.fsum(solved), cost.unit, "lower", interval, len(clusters))
