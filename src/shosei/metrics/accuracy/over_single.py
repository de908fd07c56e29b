"""An agent system beside a single agent that was given the same tasks and as many tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shosei.log import Exec, Log, Score, Workflow
from shosei.metrics import stats
from shosei.metrics.grading.grade import Outcomes, classes, grade, outcomes
from shosei.metrics.metric import POINTS, Figure, Key, Row, Table, Text, Words, text
from shosei.metrics.observed.answers import answered, cluster_of, task_key
from shosei.metrics.observed.tasks import given_to_baseline, submitted
from shosei.metrics.stats import MIN_CLUSTERS
from shosei.metrics.stats.difference import SHARE_MARGIN, Difference, Verdict, decide, paired_tasks
from shosei.metrics.stats.observations import Observation, Observations, by_cluster, share
from shosei.quantity import NS_PER_S


@dataclass(frozen=True, slots=True)
class GradedTask:
    """One sample of a task."""

    task: Workflow
    score: Score
    solved: bool


def by_system(log: Log) -> list[GradedTask]:
    """The system's samples whose answers could be graded."""
    scores = {(score.suite, score.item, score.sample): score for score in answered(log)[0]}
    scored = [(task, scores.get((task.suite, task.item, task.sample))) for task in submitted(log)]
    return _graded([(task, score) for task, score in scored if score], outcomes(log.of(Exec)))


def by_baseline(log: Log) -> list[GradedTask]:
    """The single agent's, each with what it takes to grade it: its verdict too, if a command gave one."""
    tasks = given_to_baseline(log)
    verdicts = {(task.suite, task.item, task.sample): task.outcome for task in tasks if task.outcome}
    return _graded([(task, _score(task)) for task in tasks], verdicts)


def baseline_answers(log: Log) -> list[Score]:
    """What the single agent answered, and what it takes to grade it."""
    return list(map(_score, given_to_baseline(log)))


def _score(task: Workflow) -> Score:
    """What a baseline's task carries to be graded."""
    return Score(
        suite=task.suite,
        item=task.item,
        cluster=task.cluster,
        grader=task.grader,
        truth=task.truth,
        answer=task.answer,
        sample=task.sample,
        references=task.references,
        choices=task.choices,
        lang=task.lang,
        question=task.question,
        error=task.error,
    )


def _graded(scored: Sequence[tuple[Workflow, Score]], executed: Outcomes) -> list[GradedTask]:
    of_suite = classes(score for _, score in scored)
    graded = [(task, score, grade(score, executed, of_suite)) for task, score in scored]
    return [GradedTask(task, score, solved) for task, score, solved in graded if solved is not None]


def observations(graded: Sequence[GradedTask]) -> Observations:
    """One a task: its share of samples that solved it."""
    tasks: dict[str, list[GradedTask]] = {}
    for sample in graded:
        tasks.setdefault(task_key(sample.score), []).append(sample)
    return Observations(
        [
            Observation(
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
    return (task.end_ns - task.scheduled_ns) / NS_PER_S


def calls(task: Workflow) -> float | None:
    """Calls to the model."""
    return None if task.calls is None else float(task.calls)


@dataclass(frozen=True, slots=True)
class Cost:
    """Something that a task takes; ``of`` a task it is None where nobody counted."""

    unit: str
    of: Callable[[Workflow], float | None]


COSTS = {"tokens": Cost("tokens/task", tokens), "seconds": Cost("s/task", seconds), "calls": Cost("calls/task", calls)}


def mean_cost(graded: Sequence[GradedTask], cost: Cost) -> float | None:
    """A task's mean cost; None where the cost of some is not known."""
    costs = [cost.of(sample.task) for sample in graded]
    counted = [value for value in costs if value is not None]
    return stats.mean(counted) if counted and len(counted) == len(costs) else None


def cost_per_solved(graded: Sequence[GradedTask], cost: Cost) -> Figure:
    """What all samples cost, over those that solved their task: failures are paid for too.

    A ratio over clusters of tasks (delta method, Cochran 1977). None where nothing was solved or a cost is not known.
    """
    return _cost_per(graded, cost, lambda sample: float(sample.solved))


def cost_per_task(graded: Sequence[GradedTask], cost: Cost) -> Figure:
    """What a sample of a task costs, likewise."""
    return _cost_per(graded, cost, lambda _: 1.0)


def cost_of_each(tasks: Sequence[Workflow], cost: Cost) -> Figure:
    """What a task costs, likewise; tasks that nobody graded are independent of each other."""
    costs = [cost.of(task) for task in tasks]
    known = [value for value in costs if value is not None]
    if not known or len(known) < len(costs):
        return Figure(None, cost.unit, "lower", n=len(costs))
    return _ratio_of_sums(known, [1.0] * len(known), cost)


def _cost_per(graded: Sequence[GradedTask], cost: Cost, counted: Callable[[GradedTask], float]) -> Figure:
    clusters: dict[str, list[GradedTask]] = {}
    for sample in graded:
        clusters.setdefault(cluster_of(sample.score), []).append(sample)
    counts = [math.fsum(map(counted, cluster)) for cluster in clusters.values()]
    if mean_cost(graded, cost) is None or not any(counts):
        return Figure(None, cost.unit, "lower", n=len(clusters))
    spent = [math.fsum(cost.of(sample.task) or 0.0 for sample in cluster) for cluster in clusters.values()]
    return _ratio_of_sums(spent, counts, cost)


def _ratio_of_sums(spent: Sequence[float], counts: Sequence[float], cost: Cost) -> Figure:
    low, high = stats.ratio_interval(spent, counts)
    interval = (None if low is None else max(0.0, low), high)  # no cost is negative
    return Figure(math.fsum(spent) / math.fsum(counts), cost.unit, "lower", interval, len(spent))


def beside_single(
    system: Sequence[GradedTask], single: Sequence[GradedTask]
) -> tuple[dict[str, Figure], list[Table], list[Words]]:
    """Figures, tables and a note of the comparison; nothing where they have no task in common."""
    both = [observations(single), observations(system)]
    common = {it.key for it in both[0].each} & {it.key for it in both[1].each}
    if not common:
        return {}, [], []
    difference = paired_tasks(*both)
    clusters = len(by_cluster(it for it in both[1].each if it.key in common))
    verdict = _verdict(difference, clusters)
    ratio = _ratio(system, single)
    low, high = difference.ci
    rows: dict[Key, Row] = {
        "agents.difference": [difference.value],
        "term.low_95": [low],
        "term.high_95": [high],
        "agents.tasks_of_both": [difference.n],
        "agents.p": [difference.p],
        "compare.verdict": [text(f"compare.{verdict}")],
        "agents.token_ratio": [ratio],
    }
    note = text(
        "agents.beside_note",
        difference=_points(difference.value),
        low=_points(low),
        high=_points(high),
        n=difference.n,
        verdict=text(f"compare.{verdict}"),
        method=difference.method,
    )
    figures = {
        "over_single": Figure(100 * difference.value, POINTS, "higher", (_percent(low), _percent(high)), clusters),
        "tokens_per_solved_over_single": Figure(ratio, "×", "lower", n=clusters),
    }
    columns = ["term.quantity", "term.value"]
    return figures, [_sides(system, single, both), Table.of("agents.verdict", columns, rows)], [note]


def _sides(system: Sequence[GradedTask], single: Sequence[GradedTask], both: Sequence[Observations]) -> Table:
    rows: list[Row] = []
    for graded, tasks in ((system, both[1]), (single, both[0])):
        clusters = [[it.adds["top"] for it in cluster] for cluster in by_cluster(tasks.each)]
        costs = [mean_cost(graded, cost) for cost in COSTS.values()]
        value, interval = tasks.value(), stats.wilson_clustered(clusters)
        rows.append([graded[0].task.system, value, *interval, len(tasks.each), *costs])
    columns: list[Key | Text] = [
        "agents.system",
        "agents.solved",
        "term.low_95",
        "term.high_95",
        "agents.tasks",
        *(text("agents.cost_a_task", cost=text(f"agents.{name}")) for name in COSTS),
    ]
    return Table.of("agents.beside", columns, rows)


def _verdict(difference: Difference, clusters: int) -> Verdict:
    """One comparison, planned by whoever ran the baseline: its p value needs no correction."""
    return decide(difference, difference.p, SHARE_MARGIN, "higher") if clusters >= MIN_CLUSTERS else "inconclusive"


def _ratio(system: Sequence[GradedTask], single: Sequence[GradedTask]) -> float | None:
    """Tokens that the system needs for a solved task, over those that the single agent needs."""
    spent, needed_alone = (cost_per_solved(graded, COSTS["tokens"]).value for graded in (system, single))
    return None if spent is None or not needed_alone else spent / needed_alone


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _points(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:+.1f}".replace("-", "−")
