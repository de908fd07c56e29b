"""pass@1 of all tasks, with pass@k and pass^k where a task was asked more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shosei.log import Exec, Log, Score
from shosei.metrics import stats
from shosei.metrics.accuracy import resampling
from shosei.metrics.accuracy.answers import INFRA_LIMIT, answered, by_epoch, cluster_of, identities, task_key
from shosei.metrics.accuracy.grading import Outcomes, grade, outcomes
from shosei.metrics.accuracy.pass_at_k import ks, pass_at_k, pass_hat_k
from shosei.metrics.accuracy.programs import judged_inside, program_outcomes
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.metric import Curve, Figure, Plot, Row, Table
from shosei.metrics.stats import Interval
from shosei.metrics.text import Words, text
from shosei.metrics.units import Unit, Units, share
from shosei.wire.suite import GRADERS

_ENDS = ("term.low_95", "term.high_95")

Estimator = Callable[[int, int, int], float]  # of n samples, the right ones among them, and k


@dataclass(slots=True)
class _Task:
    """A task of which ``n`` samples could be graded, ``right`` of them right."""

    score: Score  # any of them
    n: int = 0
    right: int = 0


Tasks = Sequence[_Task]


def units(log: Log) -> Units:
    """One unit a task: its share of right samples."""
    return _units(_graded(log)[0])


def pass_at_1(log: Log) -> Value:
    """Mean over tasks of the share of samples that are right: pass@1 of Chen et al. 2021."""
    tasks, invalid = _graded(log)
    executions = log.of(Exec)
    suites = _by_suite(tasks)
    return Value(
        value=resampling.value(_units(tasks)), n=len(tasks), clusters=_clusters(tasks),
        unit_of_n=text("accuracy.clusters"),
        ci=_interval(tasks, pass_at_k, 1), ci_method=text("accuracy.wilson_clustered"),
        detail=text("accuracy.mean_over_tasks"), invalid=invalid,
        figures=_figures(tasks), notes=judged_inside(executions),
        breakdown=[
            _per_suite(suites), *_more_samples(tasks, suites), *program_outcomes(executions),
            identities(task.score for task in tasks),
        ],
        plots=_by_epoch(log, outcomes(executions)),
    )  # fmt: skip


def _graded(log: Log) -> tuple[list[_Task], Words]:
    """The tasks with a graded sample, and why the measurement is invalid, if it is.

    Raises Unmeasurable: no program was executed, a grader is not known here, or nothing could be graded.
    """
    if unknown := sorted({score.grader for score in log.of(Score)} - {*GRADERS}):
        raise Unmeasurable("not_measured", text("accuracy.unknown_grader", graders=unknown))
    scores, invalid = answered(log)
    executed = outcomes(log.of(Exec))
    programs = [score for score in scores if score.grader == "python"]
    if programs and not executed:
        raise Unmeasurable(
            "not_measured", text("accuracy.not_executed", suite=programs[0].suite),
            "shosei exam URL --run RUN --suite PATH",
        )  # fmt: skip
    tasks: dict[tuple[str, str], _Task] = {}
    infra = 0
    for score in scores:
        right = grade(score, executed)
        if right is None:
            infra += 1
            continue
        task = tasks.setdefault((score.suite, score.item), _Task(score))
        task.n, task.right = task.n + 1, task.right + right
    if infra > INFRA_LIMIT * len(programs):
        invalid = text("accuracy.sandbox_failed", failed=infra, programs=len(programs))
    if not tasks:
        raise Unmeasurable("invalid", invalid)
    return list(tasks.values()), invalid


def _units(tasks: Tasks) -> Units:
    units = [
        Unit(task_key(task.score), cluster_of(task.score), {"top": task.right / task.n, "bottom": 1}) for task in tasks
    ]
    return Units(units, share, paired=True)


def _by_suite(tasks: Tasks) -> dict[str, list[_Task]]:
    suites: dict[str, list[_Task]] = {}
    for task in tasks:
        suites.setdefault(task.score.suite, []).append(task)
    return dict(sorted(suites.items()))


def _clusters(tasks: Tasks) -> int:
    return len({cluster_of(task.score) for task in tasks})


def _mean(tasks: Tasks, estimator: Estimator, k: int) -> float:
    return stats.mean([estimator(task.n, task.right, k) for task in tasks])


def _interval(tasks: Tasks, estimator: Estimator, k: int) -> Interval:
    clusters: dict[str, list[float]] = {}
    for task in tasks:
        clusters.setdefault(cluster_of(task.score), []).append(estimator(task.n, task.right, k))
    return stats.wilson_clustered(list(clusters.values()))


def _per_suite(suites: dict[str, list[_Task]]) -> Table:
    """pass@1 a suite; chance is one over the distinct truths, majority the share of the commonest one."""
    rows: list[Row] = []
    for suite, tasks in suites.items():
        low, high = _interval(tasks, pass_at_k, 1)
        truths = Counter(task.score.truth for task in tasks)
        majority = max(truths.values()) / len(tasks)
        value = _mean(tasks, pass_at_k, 1)
        rows.append([suite, value, low, high, len(tasks), _clusters(tasks), 1 / len(truths), majority])
    names = ("accuracy.suite", "accuracy.pass_at_1", *_ENDS, "accuracy.n", "accuracy.clusters")
    columns = [text(name) for name in (*names, "accuracy.chance", "accuracy.majority")]
    return Table(text("accuracy.suites"), columns, rows)


def _figures(tasks: Tasks) -> dict[str, Figure]:
    """pass@k and pass^k for the most samples that a task has; none where each has one."""
    k = max(task.n for task in tasks)
    if k == 1:
        return {}
    sampled = [task for task in tasks if task.n == k]
    return {
        f"{name}_{k}": Figure(
            _mean(sampled, estimator, k), "", "higher", _interval(sampled, estimator, k), _clusters(sampled)
        )
        for name, estimator in (("pass_at", pass_at_k), ("pass_hat", pass_hat_k))
    }


def _more_samples(tasks: Tasks, suites: dict[str, list[_Task]]) -> list[Table]:
    """pass@k and pass^k of the tasks that have k graded samples, for each suite and for all together."""
    most = max(task.n for task in tasks)
    if most == 1:
        return []
    groups: list[tuple[Words, list[_Task]]] = [(text("accuracy.all_suites"), list(tasks)), *suites.items()]
    rows: list[Row] = []
    for name, group in groups if len(suites) > 1 else groups[1:]:
        for k in ks(most):
            if sampled := [task for task in group if task.n >= k]:
                row: Row = [name, k]
                for estimator in (pass_at_k, pass_hat_k):
                    row += [_mean(sampled, estimator, k), *_interval(sampled, estimator, k)]
                rows.append([*row, len(sampled)])
    names = ("accuracy.suite", "accuracy.k", "accuracy.pass_at_k", *_ENDS, "accuracy.pass_hat_k", *_ENDS, "accuracy.n")
    return [Table(text("accuracy.more_samples"), [text(name) for name in names], rows)]


def _by_epoch(log: Log, executed: Outcomes) -> list[Plot]:
    """Each suite's share of right answers at each checkpoint; one without an answer there has a gap."""
    epochs = by_epoch(log)
    if len(epochs) < 2:
        return []
    marks: dict[str, dict[int, list[float]]] = {}
    for epoch, scores in epochs.items():
        for score in scores:
            right = None if score.error else grade(score, executed)
            if right is not None:
                marks.setdefault(score.suite, {}).setdefault(epoch, []).append(float(right))
    curves = [
        Curve(suite, [stats.mean(found[epoch]) if epoch in found else None for epoch in epochs])
        for suite, found in sorted(marks.items())
    ]
    name = text("accuracy.pass_at_1")
    title = text("accuracy.by_epoch", measure=name)
    return [Plot(title, text("term.epoch"), name, [float(epoch) for epoch in epochs], curves)]
