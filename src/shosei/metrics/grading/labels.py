"""Which class an answer names: by nothing but its name, or in a sentence about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import NamedTuple

from shosei.metrics.grading.answer import NONE, normalise, split_thought
from shosei.metrics.grading.mentions import MOST, mentions, plain
from shosei.metrics.grading.selection import select

NO_LABEL = "(none)"


class Label(NamedTuple):
    """``name``: the class, or ``(none)`` with a reason in ``why``: ``none`` or ``ambiguous``."""

    name: str
    why: str = ""


def label(text: str, labels: Collection[str]) -> Label:
    """The class of ``labels`` that is named in what an answer said. The rules stand in docs/grading.md, "Labels".

    An answer that names no class is a prediction like any other (of the class ``(none)``), so that it lowers recall
    instead of vanishing.
    """
    names = tuple(sorted(labels))
    if alone := _normalised(names).get(normalise(text)):
        return Label(alone)
    if len(names) > MOST:
        return Label(NO_LABEL, NONE)
    option, why = select(mentions("", names).put_into(plain(text)), len(names), classes=True)
    return Label(NO_LABEL, why) if option is None else Label(names[option])


def predicted_label(answer: str, labels: Collection[str]) -> str:
    """The class that an answer names, or ``(none)``: also where it was cut off in its thought."""
    text, _, cut = split_thought(answer)
    return NO_LABEL if cut else label(text, labels).name


def predicted_labels(answers: Iterable[str], labels: Collection[str]) -> list[str]:
    """``predicted_label`` of each answer."""
    return [predicted_label(answer, labels) for answer in answers]


@lru_cache(maxsize=64)
def _normalised(names: tuple[str, ...]) -> dict[str, str]:
    """The classes by the form in which an answer may be one; of two with the same form, the first."""
    return {normalise(name): name for name in reversed(names)}
