"""Which class an answer names."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from shosei.metrics.grading.answer import normalise

NO_LABEL = "(none)"


def predicted_label(answer: str, labels: Collection[str]) -> str:
    """The class that an answer names: the one of ``labels`` that it equals after normalisation, else ``(none)``.

    An answer that names no class is a prediction like any other (of the class ``(none)``), so that it lowers recall
    instead of vanishing.
    """
    return predicted_labels([answer], labels)[0]


def predicted_labels(answers: Iterable[str], labels: Collection[str]) -> list[str]:
    """``predicted_label`` of each answer."""
    named: dict[str, str] = {}
    for label in labels:
        named.setdefault(normalise(label), label)
    return [named.get(normalise(answer), NO_LABEL) for answer in answers]
