"""What sentences of the card are made of: amounts, lists, and the names of what a profile requires."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from shosei.card.judge import Judgement
from shosei.card.words import named
from shosei.metrics.metric import Text, Words, text
from shosei.quantity import shown


def amount(value: float | None, unit: str) -> Text:
    """A number in the unit that suits it, with the card's word for the unit."""
    number = shown(value, unit)
    if number.unit == "%":
        return text("clause.percent", value=number.value)
    return text("clause.amount", value=number.value or "–", unit=named("unit", number.unit))


def listed(items: Sequence[Words], joint: Literal["comma", "semicolon", "sentence"] = "comma") -> Words:
    """Several in a row; empty for none."""
    whole: Words = items[0] if items else ""
    for item in items[1:]:
        whole = text(f"clause.{joint}", before=whole, item=item)
    return whole


def requirement(judgement: Judgement) -> Words:
    """The metric and, where it is not the metric's own value, the figure that a profile asks for."""
    metric = text(f"{judgement.id}.name")
    if not judgement.figure:
        return metric
    return text("clause.figure", metric=metric, figure=named("figure_name", judgement.figure))
