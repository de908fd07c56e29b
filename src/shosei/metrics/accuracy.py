"""Accuracy: precision, recall, F1 of classified answers, and pass@1 of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from shosei.log import Exec, Log, RunBegin, Score
from shosei.metrics import stats
from shosei.metrics.cell import Cell, Unmeasurable, Value
from shosei.metrics.grading import Outcomes, grade, outcomes, predicted_label
from shosei.metrics.metric import Curve, Phase, Plot, Row, Table

_INFRA_LIMIT = 0.02  # more unanswered tasks than this and the run says nothing about the model


@dataclass(frozen=True, slots=True)
class Confusion:
    """A confusion matrix, rows truth and columns prediction, and the figures that follow from it.

    Zero division gives 0, as scikit-learn's ``zero_division=0``. Averages run over the classes that occur as truth: an
    answer that names no class is a column of its own, lowers its true class's recall, and is no class to be found.
    """

    labels: list[str]
    counts: np.ndarray  # (classes, classes) int64

    @classmethod
    def of(cls, truths: Sequence[str], predictions: Sequence[str]) -> Confusion:
        labels = sorted({*truths, *predictions})
        index = {label: number for number, label in enumerate(labels)}
        counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
        for truth, prediction in zip(truths, predictions, strict=True):
            counts[index[truth], index[prediction]] += 1
        return cls(labels, counts)

    def averages(self, which: int) -> dict[str, float]:
        """Macro, weighted (by true count) and micro average of precision (0), recall (1) or F1 (2)."""
        values, weights = per_class(self.counts)[which], self.counts.sum(axis=1)
        total = int(self.counts.sum())
        return {
            "macro": float(macro(self.counts, which)),
            "weighted": float(values @ weights) / total,
            "micro": float(np.trace(self.counts)) / total,
        }


def per_class(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class from (..., classes, classes) counts; each (..., classes)."""
    right = np.diagonal(counts, axis1=-2, axis2=-1).astype(float)
    predicted, true = counts.sum(axis=-2), counts.sum(axis=-1)
    return _share(right, predicted), _share(right, true), _share(2 * right, predicted + true)


def macro(counts: np.ndarray, which: int) -> np.ndarray:
    """Mean of one of ``per_class``'s figures over the classes that occur as truth, for each of the (...) matrices."""
    true = counts.sum(axis=-1) > 0
    return _share((per_class(counts)[which] * true).sum(axis=-1), true.sum(axis=-1))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return shares


def _answered(log: Log) -> tuple[list[Score], str]:
    """Scores with an answer, of the last checkpoint seen; and why the measurement is invalid, if it is."""
    last = max(score.epoch for score in log.of(Score))
    # A restart may answer a task again: the last answer counts.
    scores = list({(s.suite, s.item, s.sample): s for s in log.of(Score) if s.epoch == last}.values())
    answered = [score for score in scores if not score.error]
    if not answered:
        raise Unmeasurable("invalid", f"all {len(scores)} requests failed: there is no answer to grade")
    failed = len(scores) - len(answered)
    asked = max((int(begin.config.get("answers", 0)) for begin in log.of(RunBegin)), default=0)
    if scores[0].phase == "inference" and len(scores) < asked:
        return (
            answered,
            f"{len(scores)} of {asked} answers are recorded: the exam was interrupted, or its log lost some",
        )
    if failed > _INFRA_LIMIT * len(scores):
        return (
            answered,
            f"{failed} of {len(scores)} requests failed: over {_INFRA_LIMIT:.0%} of the tasks have no answer",
        )
    return answered, ""


def classification(which: int) -> Callable[[Log], Value]:
    """Macro precision (0), recall (1) or F1 (2) over the classes of the labelled tasks."""

    def compute(log: Log) -> Value:
        answered, invalid = _answered(log)
        scores = [score for score in answered if score.grader == "label"]
        if not scores:
            raise Unmeasurable("not_measured", "no task with a class label was asked in this attempt")
        labels = sorted({score.truth for score in scores})
        truths = [score.truth for score in scores]
        predictions = [predicted_label(score.answer, labels) for score in scores]
        confusion = Confusion.of(truths, predictions)
        clusters = sorted({score.cluster for score in scores})
        number = {cluster: index for index, cluster in enumerate(clusters)}
        # One confusion matrix a cluster; a resample is a weighted sum of them.
        index = {label: position for position, label in enumerate(confusion.labels)}
        cubes = np.zeros((len(clusters), *confusion.counts.shape), dtype=np.int64)
        for score, prediction in zip(scores, predictions, strict=True):
            cubes[number[score.cluster], index[score.truth], index[prediction]] += 1

        def resampled(drawn: np.ndarray) -> np.ndarray:
            return macro(np.tensordot(drawn, cubes, axes=1), which)

        averages = confusion.averages(which)
        return Value(
            value=averages["macro"], n=len(scores), clusters=len(clusters), unit_of_n="phrasings",
            ci=stats.cluster_bootstrap(len(clusters), resampled), ci_method="percentile bootstrap over clusters",
            detail=f"macro over {len(labels)} classes", invalid=invalid, notes=_zero_divisions(confusion),
            breakdown=[_averages(averages, truths, which), _per_class(confusion), _matrix(confusion)],
        )  # fmt: skip

    return compute


def _zero_divisions(confusion: Confusion) -> list[str]:
    true, predicted = confusion.counts.sum(axis=1), confusion.counts.sum(axis=0)
    never = [label for i, label in enumerate(confusion.labels) if true[i] and not predicted[i]]
    return [f"never predicted, precision 0 by definition: {', '.join(never)}"] if never else []


def _averages(averages: dict[str, float], truths: list[str], which: int) -> Table:
    """The averages beside what no skill gives: always the commonest class, and a uniform guess in expectation."""
    commonest = Counter(truths).most_common(1)[0][0]
    majority = Confusion.of(truths, [commonest] * len(truths)).averages(which)
    classes = sorted(set(truths))
    shares = [truths.count(label) / len(truths) for label in classes]
    guess = 1 / len(classes)
    precision, recall = shares, [guess] * len(classes)
    f1 = [2 * share * guess / (share + guess) for share in shares]
    expected = (precision, recall, f1)[which]
    rows: list[Row] = [[name, value] for name, value in averages.items()]
    rows += [["majority class (macro)", majority["macro"]], ["chance (macro)", stats.mean(expected)]]
    return Table("averages", ["average", "value"], rows)


def _per_class(confusion: Confusion) -> Table:
    precision, recall, f1 = per_class(confusion.counts)
    true, predicted = confusion.counts.sum(axis=1), confusion.counts.sum(axis=0)
    rows: list[Row] = [
        [label, float(precision[i]), float(recall[i]), float(f1[i]), int(true[i]), int(predicted[i])]
        for i, label in enumerate(confusion.labels)
    ]
    return Table("per class", ["class", "precision", "recall", "f1", "true", "predicted"], rows)


def _matrix(confusion: Confusion) -> Table:
    rows: list[Row] = [[label, *map(int, confusion.counts[i])] for i, label in enumerate(confusion.labels)]
    return Table("confusion matrix", ["true / predicted", *confusion.labels], rows, matrix=True)


def pass_at_1(log: Log) -> Value:
    """Mean over tasks of the share of samples that are right: pass@1 of Chen et al. 2021."""
    answered, invalid = _answered(log)
    executed = outcomes(log.of(Exec))
    programs = [score for score in answered if score.grader == "python"]
    if programs and not executed:
        raise Unmeasurable(
            "not_measured", f"suite '{programs[0].suite}' asks for programs, and no 'exec' event says what they did",
            "shosei exam URL --run RUN --suite PATH --sandbox rlimits",
        )  # fmt: skip
    graded = [(score, right) for score in answered if (right := grade(score, executed)) is not None]
    infra = len(answered) - len(graded)
    if infra > _INFRA_LIMIT * len(programs):
        invalid = f"{infra} of {len(programs)} programs could not be executed: the sandbox failed"
    suites = _by_suite(graded)
    clusters = [cluster for tasks in suites.values() for cluster in tasks.values()]
    shares = [share for cluster in clusters for share in cluster]
    if not shares:
        raise Unmeasurable("invalid", invalid)
    return Value(
        value=stats.mean(shares), n=len(shares), clusters=len(clusters), unit_of_n="tasks",
        ci=stats.wilson_clustered(clusters), ci_method="Wilson on the effective sample size over clusters",
        detail="mean over all tasks", invalid=invalid,
        breakdown=[_per_suite(suites, [score for score, _ in graded]), *_program_outcomes(log)],
        plots=_by_epoch(log, executed),
    )  # fmt: skip


def _by_suite(graded: list[tuple[Score, bool]]) -> dict[str, dict[str, list[float]]]:
    """Suite, then cluster, then each task's share of right samples."""
    tasks: dict[tuple[str, str, str], list[float]] = {}
    for score, right in graded:
        tasks.setdefault((score.suite, score.cluster, score.item), []).append(float(right))
    suites: dict[str, dict[str, list[float]]] = {}
    for (suite, cluster, _), samples in tasks.items():
        suites.setdefault(suite, {}).setdefault(cluster, []).append(stats.mean(samples))
    return suites


def _per_suite(suites: dict[str, dict[str, list[float]]], graded: list[Score]) -> Table:
    """pass@1 a suite; chance is one over the distinct truths, majority the share of the commonest one."""
    rows: list[Row] = []
    for suite, clusters in sorted(suites.items()):
        values = [value for cluster in clusters.values() for value in cluster]
        low, high = stats.wilson_clustered(list(clusters.values()))
        truths = Counter({score.item: score.truth for score in graded if score.suite == suite}.values())
        majority = truths.most_common(1)[0][1] / truths.total()
        rows.append([suite, stats.mean(values), low, high, len(values), len(clusters), 1 / len(truths), majority])
    columns = ["suite", "pass@1", "95% low", "95% high", "n", "clusters", "chance", "majority"]
    return Table("suites", columns, rows)


def _program_outcomes(log: Log) -> list[Table]:
    runs = log.of(Exec)
    if not runs:
        return []
    rows: list[Row] = [
        [*key, count] for key, count in sorted(Counter((run.outcome, run.level, run.oracle) for run in runs).items())
    ]
    return [Table("programs", ["outcome", "isolation", "oracle", "n"], rows)]


def _by_epoch(log: Log, executed: Outcomes) -> list[Plot]:
    epochs = sorted({score.epoch for score in log.of(Score)})
    if len(epochs) < 2:
        return []
    suites = sorted({score.suite for score in log.of(Score)})
    series: dict[str, list[float | None]] = {suite: [] for suite in suites}
    for epoch in epochs:
        for suite in suites:
            here = [s for s in log.of(Score) if s.epoch == epoch and s.suite == suite and not s.error]
            marks = [float(bool(grade(score, executed))) for score in here]
            series[suite].append(stats.mean(marks) if marks else None)
    curves = [Curve(suite, values) for suite, values in series.items()]
    return [Plot("pass@1 by epoch", "epoch", "pass@1", [float(epoch) for epoch in epochs], curves)]


_COMMANDS: dict[Phase, str] = {
    "training": "shosei train --run RUN",
    "inference": "shosei exam URL --run RUN --suite PATH",
}

CELLS = [
    Cell(name, phase, "", "higher", (Score,), classification(which), command=command)
    for which, name in enumerate(("precision", "recall", "f1"))
    for phase, command in _COMMANDS.items()
] + [
    Cell("pass_at_1", phase, "", "higher", (Score,), pass_at_1, may_read=(Exec,), command=command)
    for phase, command in _COMMANDS.items()
]
