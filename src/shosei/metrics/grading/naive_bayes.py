"""The floor of a classification: what multinomial naive Bayes makes of the characters of the questions.

A model that does no better has not understood more than which characters go with which class.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import sparse

FOLDS = 5
MOST_QUESTIONS = 5000  # of more, evenly spaced ones stand for all

_LONGEST = 3  # characters of an n-gram
_LEAST_QUESTIONS = 2  # learnt from, in which an n-gram occurs; a rarer one says more of its question than of a class
_ONE = 1 << 32  # logarithms are whole multiples of 1 / _ONE: their sums are exact, in any order
_NEVER = np.iinfo(np.int64).min // 2


def cross_validated(questions: Sequence[str], truths: Sequence[str], clusters: Sequence[str]) -> list[str]:
    """The class predicted for each question from the questions of other folds; a cluster is never in two folds.

    Multinomial naive Bayes with Laplace smoothing (McCallum and Nigam 1998) on counts of character 1- to 3-grams, those
    which occur in at least two of the questions learnt from.
    Raises ValueError where there is but one cluster, and so nothing to learn from.
    """
    folds = _folds(clusters)
    counts = _counts(questions)
    classes, memberships = _memberships(truths)
    predicted = np.zeros(len(truths), dtype=np.int64)
    for fold in range(folds.max() + 1):
        tested = np.flatnonzero(folds == fold)
        predicted[tested] = _classify(counts, memberships * (folds != fold), tested)
    return [classes[index] for index in predicted]


def predicted(learnt: Sequence[str], truths: Sequence[str], questions: Sequence[str]) -> list[str]:
    """The class predicted for each of ``questions`` from those ``learnt``, whose classes are ``truths``; as above."""
    classes, memberships = _memberships(truths)
    unknown = np.zeros((len(classes), len(questions)), dtype=np.int64)
    tested = np.arange(len(learnt), len(learnt) + len(questions))
    found = _classify(_counts([*learnt, *questions]), np.hstack([memberships, unknown]), tested)
    return [classes[index] for index in found]


def _memberships(truths: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The classes, and for each of them 1 where a question is its member, (classes, questions)."""
    classes = sorted(set(truths))
    number = {label: index for index, label in enumerate(classes)}
    memberships = np.zeros((len(classes), len(truths)), dtype=np.int64)
    memberships[[number[truth] for truth in truths], range(len(truths))] = 1
    return classes, memberships


def _folds(clusters: Sequence[str]) -> np.ndarray:
    """Each question's fold. Clusters are dealt out by the hash of their name: their order may go with the class."""
    dealt = sorted(set(clusters), key=lambda cluster: hashlib.sha256(cluster.encode()).digest())
    if len(dealt) < 2:
        raise ValueError("one cluster cannot be both learnt from and tested on")
    place = {cluster: index % FOLDS for index, cluster in enumerate(dealt)}
    return np.array([place[cluster] for cluster in clusters])


def _counts(questions: Sequence[str]) -> sparse.csr_array:
    """How often each n-gram occurs, (questions, n-grams); runs of white space are one space."""
    vocabulary: dict[str, int] = {}
    rows, columns, values = [], [], []
    for row, question in enumerate(questions):
        text = re.sub(r"\s\s+", " ", question.lower())
        grams = Counter(text[i : i + n] for n in range(1, _LONGEST + 1) for i in range(len(text) - n + 1))
        for gram, count in grams.items():
            rows.append(row)
            columns.append(vocabulary.setdefault(gram, len(vocabulary)))
            values.append(count)
    shape = (len(questions), len(vocabulary))
    return sparse.csr_array((np.array(values, dtype=np.int64), (rows, columns)), shape=shape)


def _classify(counts: sparse.csr_array, memberships: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """The likeliest class of each question in ``tested``; ``memberships`` (classes, questions) are those learnt."""
    learnt = (counts.T @ memberships.T).T  # (classes, n-grams)
    known = (counts > 0).T @ memberships.sum(axis=0) >= _LEAST_QUESTIONS
    members = memberships.sum(axis=1)
    smoothed = learnt + 1
    total = np.maximum(smoothed.sum(axis=1, where=known), 1)  # 0 where no n-gram is known: then the prior decides
    likelihood = (_log(smoothed) - _log(total)[:, None]) * known
    prior = np.where(members > 0, _log(np.maximum(members, 1)), _NEVER)
    likeliest: np.ndarray = (counts[tested] @ likelihood.T + prior).argmax(axis=1)
    return likeliest


def _log(values: np.ndarray) -> np.ndarray:
    """Natural logarithms of whole numbers, in units of 1 / _ONE. numpy's own differ with the processor."""
    distinct, place = np.unique(values, return_inverse=True)
    table = np.array([round(math.log(value) * _ONE) for value in distinct.tolist()], dtype=np.int64)
    return table[place].reshape(values.shape)
