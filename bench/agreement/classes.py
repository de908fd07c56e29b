"""Answers that name a class: an exam's precision, recall, F1 and confusion matrix beside scikit-learn's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from agreement import questions
from agreement.exams import answering, examined, suite_file
from agreement.runs import Card
from agreement.table import Comparison, Row

PEER = "scikit-learn"
AVERAGES = ("macro", "micro", "weighted")
MEASURES = ("precision", "recall", "f1")


def compare() -> Comparison:
    try:
        from sklearn import metrics
    except ImportError:
        return Comparison(PEER, not_measured="not installed: pip install scikit-learn")
    asked = questions.intents()
    with tempfile.TemporaryDirectory() as folder, answering(asked, Path(folder)) as url:
        card = examined(url, suite_file(Path(folder), "intents", "label", asked))
    truths, said = [each.truth for each in asked], [each.answer for each in asked]
    classes = sorted(set(truths))
    rows = [Row("", "accuracy", card.value("pass_at_1"), metrics.accuracy_score(truths, said))]
    for average in AVERAGES:
        options = {"labels": classes, "average": average, "zero_division": 0}
        values = metrics.precision_recall_fscore_support(truths, said, **options)
        rows += [
            Row("", f"{average} {measure}", card.figure(measure, average), float(theirs))
            for measure, theirs in zip(MEASURES, values[:3], strict=True)
        ]
    different = _matrix(card, classes) != metrics.confusion_matrix(truths, said, labels=classes)
    return Comparison(PEER, [*rows, Row("", "cells of the confusion matrix that differ", float(different.sum()), 0.0)])


def _matrix(card: Card, classes: list[str]) -> np.ndarray:
    """Rows are true classes, columns predicted ones; the column of answers without a class is left out."""
    rows = {next(iter(row.values())): row for row in card.table("f1", "accuracy.matrix")}
    return np.array([[rows[truth][said] for said in classes] for truth in classes])
