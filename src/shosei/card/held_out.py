"""What a model makes of text that it was not trained on: rows of their own beside the accuracy of training."""

from __future__ import annotations

import msgspec

from shosei.card.scorecard import Scorecard
from shosei.metrics.metric import Table, Text, Words, text

TABLE = "performance.held_out"  # its table and its plot, in the log's own cell: the speed of training
_FIGURES = {"held_out_loss": "held_out.loss", "bits_per_character": "held_out.bits_per_character"}


class HeldOutRow(msgspec.Struct, frozen=True):
    """A figure as it was at the end of the training; ``value`` is None where it was not finite."""

    id: str
    name: Text
    value: float | None
    unit: str


def held_out_rows(card: Scorecard) -> list[HeldOutRow]:
    """Loss a token and bits a character; none where nobody measured them."""
    figures = card.cell("training_speed", "training").figures
    return [
        HeldOutRow(id, text(key), figures[id].value, figures[id].unit) for id, key in _FIGURES.items() if id in figures
    ]


def held_out_tables(card: Scorecard) -> list[Table]:
    """The same at each epoch's end."""
    return [table for table in card.cell("training_speed", "training").breakdown if is_held_out(table.title)]


def is_held_out(title: Words) -> bool:
    """Whether a table or plot of that title belongs to these rows, and not into the body of its cell."""
    return isinstance(title, Text) and title.key == TABLE
