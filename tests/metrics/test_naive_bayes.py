"""The naive-Bayes floor against scikit-learn on the same folds."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from shosei.metrics.grading.naive_bayes import FOLDS, cross_validated, predicted


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
    found, lead = [""] * len(texts), [0.0] * len(texts)
    for fold in set(folds):
        learnt = [i for i, own in enumerate(folds) if own != fold]
        tested = [i for i, own in enumerate(folds) if own == fold]
        counter = CountVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2)
        model = make_pipeline(counter, MultinomialNB()).fit([texts[i] for i in learnt], [truths[i] for i in learnt])
        likelihoods = model[-1].predict_joint_log_proba(model[:-1].transform([texts[i] for i in tested]))
        for i, row in zip(tested, likelihoods, strict=True):
            found[i] = model.classes_[row.argmax()]
            lead[i] = float(sorted(row)[-1] - sorted(row)[-2])
    return found, lead


@pytest.mark.parametrize(("n", "classes", "seed"), [(300, 4, 1), (90, 2, 2), (40, 9, 3)])
def test_predictions_equal_scikit_learns(n: int, classes: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, truths, clusters = questions(n, classes, seed)
    folds = [int(cluster.removeprefix("cluster-")) % FOLDS for cluster in clusters]
    monkeypatch.setattr("shosei.metrics.grading.naive_bayes._folds", lambda _: np.array(folds))
    expected, lead = sklearn_predictions(texts, truths, folds)
    found = cross_validated(texts, truths, clusters)
    assert [(a, b) for a, b, by in zip(found, expected, lead, strict=True) if a != b and by > 1e-6] == []


def test_a_cluster_is_never_learnt_from_and_tested_on() -> None:
    """Every cluster's questions are its own characters, so nothing can be learnt of it from the others."""
    clusters = [f"cluster-{i // 8}" for i in range(160)]
    texts = [chr(0x4E00 + i // 8) * 5 for i in range(160)]
    truths = [f"class-{i // 8 % 2}" for i in range(160)]
    found = cross_validated(texts, truths, clusters)
    for cluster in set(clusters):
        assert len({label for label, own in zip(found, clusters, strict=True) if own == cluster}) == 1
    right = sum(a == b for a, b in zip(found, truths, strict=True))
    assert right <= 96, "alone, characters never seen before say nothing"
    assert cross_validated(texts, truths, [*map(str, range(160))]) == truths


def test_what_occurs_in_a_single_question_says_nothing() -> None:
    learnt, truths = ["甲乙乙乙", "甲丙", "甲丙"], ["a", "b", "b"]
    assert predicted(learnt, truths, ["乙乙", "丙"]) == ["b", "b"], "乙 is no n-gram, so the commoner class is likelier"
    assert predicted([*learnt, "乙"], [*truths, "a"], ["乙乙"]) == ["a"]


def test_it_is_deterministic_and_needs_two_clusters() -> None:
    texts, truths, clusters = questions(120, 3, 4)
    order = sorted(range(120), key=lambda i: texts[i])
    again = cross_validated([texts[i] for i in order], [truths[i] for i in order], [clusters[i] for i in order])
    first = cross_validated(texts, truths, clusters)
    assert again == [first[i] for i in order]
    with pytest.raises(ValueError, match="one cluster"):
        cross_validated(["甲", "乙"], ["a", "b"], ["same", "same"])


def test_of_questions_that_share_no_character_the_commoner_class_is_likelier() -> None:
    assert predicted(["甲", "乙", "丙"], ["a", "b", "b"], ["甲"]) == ["b"]
