"""The naive-Bayes floor against scikit-learn on the same folds."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from shosei.metrics.accuracy.naive_bayes import FOLDS, cross_validated


def questions(n: int, classes: int, seed: int) -> tuple[list[str], list[str], list[str]]:
    """Made-up questions whose characters go with their class, three to a cluster; white space among them."""
    draw = random.Random(seed)
    alphabet = [*(chr(0x4E00 + i) for i in range(120)), *"ABCあいう 12"]
    bags = [draw.sample(alphabet, 80) for _ in range(classes)]
    truths = [draw.randrange(classes) for _ in range(n)]
    texts = ["".join(draw.choices(bags[truth], k=draw.randint(1, 25))) for truth in truths]
    return texts, [f"class-{truth}" for truth in truths], [f"cluster-{i // 3}" for i in range(n)]


def sklearn_predictions(texts: list[str], truths: list[str], folds: list[int]) -> tuple[list[str], list[float]]:
    """What scikit-learn predicts, and by how much its first class is likelier than its second."""
    predicted, lead = [""] * len(texts), [0.0] * len(texts)
    for fold in set(folds):
        learnt = [i for i, own in enumerate(folds) if own != fold]
        tested = [i for i, own in enumerate(folds) if own == fold]
        vectorizer = CountVectorizer(analyzer="char", ngram_range=(1, 3))
        model = MultinomialNB().fit(vectorizer.fit_transform([texts[i] for i in learnt]), [truths[i] for i in learnt])
        likelihoods = model.predict_joint_log_proba(vectorizer.transform([texts[i] for i in tested]))
        for i, row in zip(tested, likelihoods, strict=True):
            predicted[i] = model.classes_[row.argmax()]
            lead[i] = float(sorted(row)[-1] - sorted(row)[-2])
    return predicted, lead


@pytest.mark.parametrize(("n", "classes", "seed"), [(300, 4, 1), (90, 2, 2), (40, 9, 3)])
def test_predictions_equal_scikit_learns(n: int, classes: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, truths, clusters = questions(n, classes, seed)
    folds = [int(cluster.removeprefix("cluster-")) % FOLDS for cluster in clusters]
    monkeypatch.setattr("shosei.metrics.accuracy.naive_bayes._folds", lambda _: np.array(folds))
    expected, lead = sklearn_predictions(texts, truths, folds)
    found = cross_validated(texts, truths, clusters)
    assert [(a, b) for a, b, by in zip(found, expected, lead, strict=True) if a != b and by > 1e-6] == []


def test_a_cluster_is_never_learnt_from_and_tested_on() -> None:
    """Every cluster's questions are its own characters, so nothing can be learnt of it from the others."""
    clusters = [f"cluster-{i // 4}" for i in range(80)]
    texts = [chr(0x4E00 + i // 4) * 5 for i in range(80)]
    truths = [f"class-{i // 4 % 2}" for i in range(80)]
    found = cross_validated(texts, truths, clusters)
    for cluster in set(clusters):
        assert len({label for label, own in zip(found, clusters, strict=True) if own == cluster}) == 1
    right = sum(a == b for a, b in zip(found, truths, strict=True))
    assert right <= 48, "alone, characters never seen before say nothing"
    assert (
        sum(a == b for a, b in zip(cross_validated(texts, truths, [*map(str, range(80))]), truths, strict=True)) == 80
    )


def test_it_is_deterministic_and_needs_two_clusters() -> None:
    texts, truths, clusters = questions(120, 3, 4)
    order = sorted(range(120), key=lambda i: texts[i])
    again = cross_validated([texts[i] for i in order], [truths[i] for i in order], [clusters[i] for i in order])
    first = cross_validated(texts, truths, clusters)
    assert again == [first[i] for i in order]
    with pytest.raises(ValueError, match="one cluster"):
        cross_validated(["甲", "乙"], ["a", "b"], ["same", "same"])
