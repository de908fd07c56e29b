"""Precision, recall and F1: over the classes of a suite's confusion matrix, or over the items of free text."""

from __future__ import annotations

from collections.abc import Callable

from shosei.log import Log, Score
from shosei.metrics import stats
from shosei.metrics.accuracy.classified import Suites, can_learn, matching, observations_of, pairs, suites_of
from shosei.metrics.accuracy.confusion import AVERAGES, Measure
from shosei.metrics.accuracy.tables import identities, tables
from shosei.metrics.grading.naive_bayes import MOST_QUESTIONS
from shosei.metrics.metric import Curve, Figure, Key, Plot, Text, Words, text
from shosei.metrics.observed.answers import answered, by_epoch, by_task, cluster_of
from shosei.metrics.value import Unmeasurable, Value


def classification(measure: Measure) -> Callable[[Log], Value]:
    """Mean over suites of the macro average over classes or, where answers are free text, of the mean over items."""

    def compute(log: Log) -> Value:
        suites, invalid = _classified(log)
        scores = [score for group in suites.values() for score in group]
        tasks = observations_of(suites, measure)
        return Value(
            value=tasks.value(),
            observations=tasks,
            n=len(scores),
            clusters=tasks.clusters,
            unit_of_n="accuracy.clusters",
            ci=tasks.share_interval(),
            ci_method="accuracy.bootstrap",
            detail=_detail(suites),
            invalid=invalid,
            figures=_figures(suites, measure),
            notes=_notes(suites),
            breakdown=[*tables(suites, measure), identities(scores)],
            plots=_by_epoch(log, measure),
        )

    return compute


def _classified(log: Log) -> tuple[Suites, Words]:
    """The suites whose answers name a class or are free text, and why the measurement is invalid, if it is."""
    answers, invalid = answered(log)
    suites = suites_of(answers)
    if not suites:
        raise Unmeasurable("not_measured", "accuracy.nothing_classified")
    return suites, invalid


def _detail(suites: Suites) -> Key | Text:
    if len(suites) > 1:
        return text("accuracy.mean_over_suites", suites=len(suites))
    (((_, grader), scores),) = suites.items()
    if grader == "text":
        by_cmrc = all(score.grader == "cmrc2018" for score in scores)
        return "accuracy.mean_over_items_cmrc2018" if by_cmrc else "accuracy.mean_over_items"
    return text("accuracy.macro_over_classes", classes=len({score.truth for score in scores}))


def _figures(suites: Suites, measure: Measure) -> dict[str, Figure]:
    """The averages over the suites that have classes, and the share of all free text that matches exactly."""
    figures: dict[str, Figure] = {}
    if labelled := {key: scores for key, scores in suites.items() if key[1] == "label"}:
        for average in AVERAGES:
            tasks = observations_of(labelled, measure, average)
            ci = tasks.share_interval()
            figures[average] = Figure(tasks.value(), "", "higher", ci, tasks.clusters)
    clusters: dict[str, list[Score]] = {}
    for (_, grader), scores in suites.items():
        for score in scores if grader == "text" else ():
            clusters.setdefault(cluster_of(score), []).append(score)
    if clusters:
        matches = [matching(scores) for scores in clusters.values()]
        value = stats.mean([match for group in matches for match in group])
        figures["exact_match"] = Figure(value, "", "higher", stats.wilson_clustered(matches), len(matches))
    return figures


def _notes(suites: Suites) -> list[Key | Text]:
    """Zero divisions, and floors that were computed on a part."""
    notes: list[Key | Text] = []
    for (suite, grader), scores in suites.items():
        if len(suites) > 1 and any(score.grader == "cmrc2018" for score in scores):
            notes.append(text("accuracy.by_cmrc2018", suite=suite))
        if grader == "text":
            continue
        counted = pairs(scores)
        if never := sorted({truth for truth, _ in counted} - {prediction for _, prediction in counted}):
            notes.append(text("accuracy.never_predicted", suite=suite, classes=never))
        if len(by_task(scores)) > MOST_QUESTIONS and can_learn(scores):
            notes.append(text("accuracy.floor_on_part", suite=suite, n=MOST_QUESTIONS))
    return notes


def _by_epoch(log: Log, measure: Measure) -> list[Plot]:
    """Each suite's value at each checkpoint; one without an answer there has a gap."""
    epochs = by_epoch(log)
    if len(epochs) < 2:
        return []
    found: list[dict[str, float]] = []
    for scores in epochs.values():
        suites = suites_of(score for score in scores if not score.error)
        found.append({key[0]: observations_of({key: group}, measure).value() for key, group in suites.items()})
    curves = [
        Curve(suite, [values.get(suite) for values in found])
        for suite in sorted({suite for values in found for suite in values})
    ]
    name = f"accuracy.{measure}"
    title = text("accuracy.by_epoch", measure=text(name))
    return [Plot.of(title, "term.epoch", name, [float(epoch) for epoch in epochs], curves)]
