"""pass@1 of all tasks, with pass@k, pass^k and the share that flips where a task was asked more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb
from typing import Literal

from shosei.log import Exec, Log, Score
from shosei.metrics import stats
from shosei.metrics.accuracy.judged import judged_tables
from shosei.metrics.accuracy.tables import identities
from shosei.metrics.accuracy.verdicts import verdicts
from shosei.metrics.grading.answer import AMBIGUOUS, CUT_IN_THOUGHT, NONE
from shosei.metrics.grading.grade import COMMAND, JUDGE, Outcomes, classes, grade, mark, outcomes
from shosei.metrics.metric import Curve, Figure, Key, Plot, Row, Table, Text, Words, text
from shosei.metrics.observed.answers import CUT, CUT_LIMIT, INFRA_LIMIT, answered, by_epoch, cluster_of, task_key
from shosei.metrics.stats import Interval
from shosei.metrics.stats.observations import Observation, Observations, share
from shosei.metrics.value import Unmeasurable, Value
from shosei.wire.suite import GRADERS

_ENDS = ("term.low_95", "term.high_95")

_UNREAD = (AMBIGUOUS, NONE, CUT_IN_THOUGHT)
Estimator = Callable[[int, int, int], float]  # of n samples, the right ones among them, and k


@dataclass(slots=True)
class _Task:
    """A task of which ``n`` samples could be graded, ``right`` of them right and ``cut`` of them at their limit."""

    score: Score  # any of them
    n: int = 0
    right: int = 0
    cut: int = 0
    unread: Counter[str] = field(default_factory=Counter)  # by why nothing was read of the answer


Tasks = Sequence[_Task]


def pass_at_1(log: Log) -> Value:
    """Mean over tasks of the share of samples that are right: pass@1 of Chen et al. 2021."""
    judged = judged_tables(log, answered(log)[0])
    tasks, invalid = _graded(log, judged)
    observations = _observations(tasks)
    executions = log.of(Exec)
    suites = _by_suite(tasks)
    return Value(
        value=observations.value(),
        n=len(tasks),
        clusters=_clusters(tasks),
        unit_of_n="accuracy.clusters",
        observations=observations,
        ci=_interval(tasks, pass_at_k, 1),
        ci_method="accuracy.wilson_clustered",
        detail="accuracy.mean_over_tasks",
        invalid=invalid,
        figures=_figures(tasks),
        notes=[*judged_inside(executions), *needing_packages(executions), *_many_cut(suites)],
        breakdown=[
            _per_suite(suites),
            *_more_samples(tasks, suites),
            *_unread(suites),
            *program_outcomes(run for run in executions if run.oracle != COMMAND),
            *verdicts(executions),
            identities(task.score for task in tasks),
            *judged,
        ],
        plots=_by_epoch(log, outcomes(executions)),
    )


def by_suite(log: Log) -> dict[str, tuple[float, Interval, int]]:
    """pass@1 of each suite with its interval and number of tasks, as the card has them; empty where it has none."""
    try:
        tasks, _ = _graded(log)
    except Unmeasurable:
        return {}
    return {
        suite: (_mean(own, pass_at_k, 1), _interval(own, pass_at_k, 1), len(own))
        for suite, own in _by_suite(tasks).items()
    }


def _graded(log: Log, judged: Sequence[Table] = ()) -> tuple[list[_Task], Words]:
    """The tasks with a graded sample, and why the measurement is invalid, if it is. A judge's tasks are not graded.

    Raises Unmeasurable: no program was executed, a grader is not known here, or nothing could be graded; where all
    tasks are a judge's, with what is ``judged`` instead.
    """
    if unknown := sorted({score.grader for score in log.of(Score)} - {*GRADERS}):
        raise Unmeasurable("not_measured", text("accuracy.unknown_grader", graders=unknown))
    scores, invalid = answered(log)
    scores = [score for score in scores if score.grader != JUDGE]
    if not scores:
        reason = text("accuracy.only_judged")
        raise Unmeasurable("not_measured", reason, "" if judged else "shosei judge RUN --judge-url URL", judged)
    executed, of_suite = outcomes(log.of(Exec)), classes(scores)
    programs = [score for score in scores if score.grader == "python"]
    if programs and not executed:
        raise Unmeasurable(
            "not_measured",
            text("accuracy.not_executed", suite=programs[0].suite),
            "shosei exam URL --run RUN --suite PATH",
        )
    tasks: dict[tuple[str, str], _Task] = {}
    ungraded: Counter[str] = Counter()  # by grader
    for score in scores:
        right, _, outcome = mark(score, executed, of_suite)
        if right is None:
            ungraded[score.grader] += 1
            continue
        task = tasks.setdefault((score.suite, score.item), _Task(score))
        task.unread[outcome] += outcome in _UNREAD
        task.n, task.right, task.cut = task.n + 1, task.right + right, task.cut + (score.finish_reason == CUT)
    commanded = sum(score.grader == COMMAND for score in scores)
    if ungraded["python"] > INFRA_LIMIT * len(programs):
        invalid = text("accuracy.sandbox_failed", failed=ungraded["python"], programs=len(programs))
    if ungraded[COMMAND] > INFRA_LIMIT * commanded:
        invalid = text("accuracy.grader_failed", failed=ungraded[COMMAND], answers=commanded)
    if not tasks:
        raise Unmeasurable("invalid", invalid)
    return list(tasks.values()), invalid


def _observations(tasks: Tasks) -> Observations:
    """One a task: its share of right samples."""
    each = [
        Observation(task_key(task.score), cluster_of(task.score), {"top": task.right / task.n, "bottom": 1})
        for task in tasks
    ]
    return Observations(each, share, paired=True)


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
    """pass@1 a suite; chance is one over the distinct truths, majority the share of the commonest one.

    How many answers were cut stands beside it where the servers said why answers ended.
    """
    rows: list[Row] = []
    tells_ends = any(task.score.finish_reason for tasks in suites.values() for task in tasks)
    for suite, tasks in suites.items():
        low, high = _interval(tasks, pass_at_k, 1)
        truths = Counter(task.score.truth for task in tasks)
        majority = max(truths.values()) / len(tasks)
        value = _mean(tasks, pass_at_k, 1)
        cut = [sum(task.cut for task in tasks)] if tells_ends else []
        rows.append([suite, value, low, high, len(tasks), _clusters(tasks), 1 / len(truths), majority, *cut])
    columns = ["accuracy.suite", "accuracy.pass_at_1", *_ENDS, "term.n"]
    columns += ["accuracy.clusters", "accuracy.chance", "accuracy.majority"]
    columns += ["accuracy.cut"] if tells_ends else []
    return Table.of("accuracy.suites", columns, rows)


def _many_cut(suites: Mapping[str, Tasks]) -> list[Text]:
    """A warning for each suite whose limit of tokens may have decided on its score."""
    notes = []
    for suite, tasks in suites.items():
        cut, answers = sum(task.cut for task in tasks), sum(task.n for task in tasks)
        if cut > CUT_LIMIT * answers:
            notes.append(text("accuracy.many_cut", suite=suite, cut=cut, n=answers, limit=f"{CUT_LIMIT:.0%}"))
    return notes


def _figures(tasks: Tasks) -> dict[str, Figure]:
    """pass@k, pass^k and the share that flips for the most samples that a task has; none where each has one."""
    k = max(task.n for task in tasks)
    if k == 1:
        return {}
    sampled = [task for task in tasks if task.n == k]
    return {
        f"{name}_{k}": Figure(
            _mean(sampled, estimator, k), "", direction, _interval(sampled, estimator, k), _clusters(sampled)
        )
        for name, estimator, direction in _OF_SAMPLES
    }


def _more_samples(tasks: Tasks, suites: dict[str, list[_Task]]) -> list[Table]:
    """The same of the tasks that have k graded samples, for each suite and for all together."""
    most = max(task.n for task in tasks)
    if most == 1:
        return []
    groups: list[tuple[Words, list[_Task]]] = [(text("accuracy.all_suites"), list(tasks)), *suites.items()]
    rows: list[Row] = []
    for name, group in groups if len(suites) > 1 else groups[1:]:
        for k in ks(most):
            if sampled := [task for task in group if task.n >= k]:
                row: Row = [name, k]
                for _, estimator, _ in _OF_SAMPLES:
                    row += [_mean(sampled, estimator, k), *_interval(sampled, estimator, k)]
                rows.append([*row, len(sampled)])
    columns = ["accuracy.suite", "accuracy.k"]
    for name in ("accuracy.pass_at_k", "accuracy.pass_hat_k", "accuracy.flips"):
        columns += [name, *_ENDS]
    return [Table.of("accuracy.more_samples", [*columns, "term.n"], rows)]


def _unread(suites: dict[str, list[_Task]]) -> list[Table]:
    """Of how many answers nothing could be read, all of them wrong, and why; of the suites that have any."""
    counts = {suite: sum((task.unread for task in tasks), Counter()) for suite, tasks in suites.items()}
    rows: list[Row] = [
        [suite, *(count[why] for why in _UNREAD), sum(task.n for task in suites[suite])]
        for suite, count in counts.items()
        if count.total()
    ]
    columns = ["accuracy.suite", *(f"accuracy.{why.replace(' ', '_')}" for why in _UNREAD), "accuracy.answers"]
    return [Table.of("accuracy.unread", columns, rows)] if rows else []


def _by_epoch(log: Log, executed: Outcomes) -> list[Plot]:
    """Each suite's share of right answers at each checkpoint; one without an answer there has a gap."""
    epochs = by_epoch(log)
    if len(epochs) < 2:
        return []
    marks: dict[str, dict[int, list[float]]] = {}
    for epoch, scores in epochs.items():
        of_suite = classes(scores)
        for score in scores:
            right = None if score.error else grade(score, executed, of_suite)
            if right is not None:
                marks.setdefault(score.suite, {}).setdefault(epoch, []).append(float(right))
    curves = [
        Curve(suite, [stats.mean(found[epoch]) if epoch in found else None for epoch in epochs])
        for suite, found in sorted(marks.items())
    ]
    name = "accuracy.pass_at_1"
    title = text("accuracy.by_epoch", measure=text(name))
    return [Plot.of(title, "term.epoch", name, [float(epoch) for epoch in epochs], curves)]


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that of ``k`` samples drawn from ``n`` at least one is right: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021).

    An unbiased estimate of what ``k`` samples achieve. Raises ValueError unless 1 <= k <= n.
    """
    _check(n, c, k)
    return (comb(n, k) - comb(n - c, k)) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Chance that all of ``k`` samples drawn from ``n`` are right: C(c, k) / C(n, k) (Yao et al. 2024).

    Raises ValueError unless 1 <= k <= n.
    """
    _check(n, c, k)
    return comb(c, k) / comb(n, k)


def flips(n: int, c: int, k: int) -> float:
    """Chance that of ``k`` samples drawn from ``n`` some are right and some are not: pass@k - pass^k.

    Raises ValueError unless 1 <= k <= n.
    """
    return pass_at_k(n, c, k) - pass_hat_k(n, c, k)


# Figures and columns of tasks that were asked several times.
_OF_SAMPLES: tuple[tuple[str, Estimator, Literal["higher", "lower"]], ...] = (
    ("pass_at", pass_at_k, "higher"),
    ("pass_hat", pass_hat_k, "higher"),
    ("flips", flips, "lower"),
)


def ks(n: int) -> list[int]:
    """Which k are told of n samples: the powers of two, and n."""
    return sorted({n, *(1 << power for power in range(n.bit_length()) if 1 << power <= n)})


def _check(n: int, c: int, k: int) -> None:
    if not 1 <= k <= n or not 0 <= c <= n:
        raise ValueError(f"{k} of {n} samples with {c} right: needs 1 <= k <= n and 0 <= c <= n")


OUTCOMES = (
    "pass",
    "wrong",
    "exception",
    "cpu timeout",
    "wall timeout",
    "out of memory",
    "killed by signal",
    "sandbox violation",
    "no code",
    "infra",
)


def program_outcomes(executions: Iterable[Exec]) -> list[Table]:
    """How many programs had each outcome, by isolation and by where their tests ran; ``infra`` is in no score."""
    counts = Counter((run.outcome, run.level, run.oracle) for run in _last(executions))
    if not counts:
        return []
    rows: list[Row] = []
    for outcome in (*OUTCOMES, *sorted({found for found, _, _ in counts} - {*OUTCOMES})):
        name = text(f"accuracy.{outcome.replace(' ', '_')}") if outcome in OUTCOMES else outcome
        found = sorted(key for key in counts if key[0] == outcome)
        rows += [[name, level, _oracle(oracle), counts[outcome, level, oracle]] for _, level, oracle in found]
        if not found:
            rows.append([name, None, None, 0])
    columns = ["accuracy.outcome", "accuracy.isolation", "accuracy.oracle", "term.n"]
    return [Table.of("accuracy.programs", columns, rows)]


def _oracle(where: str) -> Words:
    """Where a program's tests ran."""
    return text(f"accuracy.oracle_{where}") if where in ("outside", "in_process") else where


def judged_inside(executions: Iterable[Exec]) -> list[Key | Text]:
    """A note where tests ran in the candidate's own process: wrong code can pass by deceiving them."""
    inside = [run for run in _last(executions) if run.oracle == "in_process"]
    items = sorted({f"{run.suite}/{run.item}" for run in inside})
    passed = sum(run.outcome == "pass" for run in inside)
    return [text("accuracy.judged_inside", programs=len(inside), passed=passed, items=items)] if items else []


def needed(executions: Iterable[Exec]) -> Counter[str]:
    """How many programs failed for want of which module, that no allowed package has."""
    return Counter(run.needs for run in _last(executions) if run.needs)


def needing_packages(executions: Iterable[Exec]) -> list[Key | Text]:
    """A note where programs failed because a package was not allowed."""
    modules = needed(executions)
    return [text("accuracy.needing_packages", n=modules.total(), items=sorted(modules))] if modules else []


def _last(executions: Iterable[Exec]) -> list[Exec]:
    """A restart may run a program again: its last outcome counts."""
    return list({(run.suite, run.item, run.sample): run for run in executions}.values())
