"""Sentences that the card prints in its three languages: the metrics name them, the card's language files hold them."""

from __future__ import annotations

import msgspec


class Text(msgspec.Struct, frozen=True):
    """A sentence or term by its key in the card's language files, with the values that stand in it."""

    key: str
    values: dict[str, Text | str | int | float | list[str] | None] = {}


Words = Text | str  # a str is foreign and stays as it is: a class label, a suite, a process


def text(key: str, **values: Text | str | int | float | list[str] | None) -> Text:
    """``Text`` with its values as keywords."""
    return Text(key, values)
