"""The tables beside the metrics of accuracy."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from shosei.log import Score
from shosei.metrics import stats
from shosei.metrics.accuracy.classified import (
    Suites,
    chance,
    commonest,
    majority,
    matching,
    mean_overlap,
    naive_bayes_floor,
    observations_of,
    pairs,
)
from shosei.metrics.accuracy.confusion import AVERAGES, MEASURES, Confusion, Measure
from shosei.metrics.grading.grade import GRADING_VERSION
from shosei.metrics.grading.labels import NO_LABEL
from shosei.metrics.metric import Key, Row, Table, Words, text
from shosei.metrics.observed.answers import by_task

_SHOWN_DIGITS = 12


def tables(suites: Suites, measure: Measure) -> list[Table]:
    """One of all suites, and those of each: averages, classes and confusion matrix, or free text's measures."""
    found = [_suites(suites, measure)]
    for (suite, grader), scores in suites.items():
        if grader == "text":
            found.append(_free_text(suite, scores))
            continue
        counts = Counter(pairs(scores))
        confusion = Confusion.counted(counts)
        found.append(_averages(suite, scores, confusion, measure))
        found.append(_per_class(suite, confusion))
        found.append(_matrix(suite, confusion.labels, counts))
    return found


def _suites(suites: Suites, measure: Measure) -> Table:
    rows: list[Row] = []
    for (suite, grader), scores in suites.items():
        tasks = observations_of({(suite, grader): scores}, measure)
        kind = text("accuracy.free_text" if grader == "text" else "accuracy.classes")
        low, high = tasks.share_interval()
        rows.append([suite, kind, tasks.value(), low, high, len(scores), tasks.clusters])
    columns = ["accuracy.suite", "accuracy.kind", f"accuracy.{measure}", "term.low_95", "term.high_95"]
    columns += ["term.n", "accuracy.clusters"]
    return Table.of("accuracy.suites", columns, rows)


def _averages(suite: str, scores: Sequence[Score], confusion: Confusion, measure: Measure) -> Table:
    """The averages, beside what no understanding gives."""
    tasks = [samples[0] for samples in by_task(scores)]
    rows: dict[Key, Row] = {f"accuracy.{name}": [float(confusion.average(measure, name))] for name in AVERAGES}
    rows["accuracy.naive_bayes"] = [naive_bayes_floor(tasks, measure)]
    rows["accuracy.majority_class"] = [majority(tasks, measure)]
    rows["accuracy.guess"] = [chance(tasks, measure)]
    columns = ["accuracy.average", f"accuracy.{measure}"]
    return Table.of(text("accuracy.averages", suite=suite), columns, rows)


def _per_class(suite: str, confusion: Confusion) -> Table:
    values = [confusion.per_class(measure) for measure in MEASURES]
    rows: list[Row] = [
        [_class(label), *(float(value[i]) for value in values), int(confusion.true[i]), int(confusion.predicted[i])]
        for i, label in enumerate(confusion.labels)
    ]
    columns = [f"accuracy.{name}" for name in ("class", *MEASURES, "true", "predicted")]
    return Table.of(text("accuracy.per_class", suite=suite), columns, rows)


def _matrix(suite: str, labels: Sequence[str], counts: Counter[tuple[str, str]]) -> Table:
    classes = [_class(label) for label in labels]
    rows: list[Row] = [
        [named, *(counts[truth, prediction] for prediction in labels)]
        for truth, named in zip(labels, classes, strict=True)
    ]
    return Table.of(text("accuracy.matrix", suite=suite), ["accuracy.true_predicted"], rows, classes)


def _class(label: str) -> Words:
    """What a class is called: by its own name, but for answers that name none."""
    return text("accuracy.no_label") if label == NO_LABEL else label


def _free_text(suite: str, scores: Sequence[Score]) -> Table:
    """What the model said, beside always saying the commonest truth."""
    always = commonest(scores)
    answers = [scores, [msgspec.structs.replace(score, answer=always) for score in scores]]
    rows: dict[Key, Row] = {f"accuracy.{name}": [mean_overlap(said, name) for said in answers] for name in MEASURES}
    rows["accuracy.exact_match"] = [stats.mean(matching(said)) for said in answers]
    if not all(score.truth for score in scores):
        rows |= _by_answerability(answers)
    columns = ["accuracy.measure", "accuracy.model", "accuracy.commonest_answer"]
    return Table.of(text("accuracy.free_text_of", suite=suite), columns, rows)


def _by_answerability(answers: Sequence[Sequence[Score]]) -> dict[Key, Row]:
    """Exact match of the questions that have an answer, and of those that have none (an empty truth)."""
    rows: dict[Key, Row] = {}
    for part, answerable in (("answerable", True), ("unanswerable", False)):
        of_part = [[score for score in said if bool(score.truth) == answerable] for said in answers]
        if of_part[0]:
            rows[f"accuracy.exact_match_{part}"] = [stats.mean(matching(said)) for said in of_part]
    return rows


def identities(scores: Iterable[Score]) -> Table:
    """What must be equal for two runs' scores to be comparable: data, template and decoding, and grading."""
    rows: list[Row] = [
        [suite, _graded(identity), GRADING_VERSION]
        for suite, identity in sorted({(score.suite, score.identity) for score in scores})
    ]
    columns = ["accuracy.suite", "accuracy.identity", "accuracy.grading_version"]
    return Table.of("accuracy.identity", columns, rows)


def _graded(identity: str) -> str | None:
    """The digest of a score's identity together with the version that graded it; None for logs that have none."""
    if not identity:
        return None
    return hashlib.sha256(f"{identity} {GRADING_VERSION}".encode()).hexdigest()[:_SHOWN_DIGITS]
