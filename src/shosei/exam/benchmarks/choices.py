"""The choices of a question, and which of them is right: as the table says it, or not at all.

A table gives the right choice as a label or letter, as the choice's text, or as a number that counts from 0 or from 1.
Which it is shows in the table as a whole: a form in which one row cannot be read is not the form. Where two forms are
left that name different choices, the table is refused, and ``--answer-is`` decides.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shosei.errors import InputError
from shosei.exam.benchmarks.choice_columns import choice_columns
from shosei.exam.benchmarks.entries import Entry

LETTERS = string.ascii_uppercase
_LABEL_NAMES, _TEXT_NAMES = ("label", "key", "id"), ("text", "content", "value")
_PLAIN = (str, int, float, Decimal)
_MEANINGS = {
    "letter": "a letter or label",
    "text": "a choice's text",
    "index0": "a number that counts from 0",
    "index1": "a number that counts from 1",
}
_MANY = 16  # rows: of so many that count from 0, one is 0


@dataclass(frozen=True)
class Choices:
    """Their values; the labels that the table itself gives them, if it does; whether they stand in a list."""

    values: Sequence[Any] = ()
    labels: Sequence[str] = ()
    listed: bool = True

    @property
    def texts(self) -> list[str]:
        return [str(value) for value in self.values]


def choices_of(entry: Entry) -> Choices:
    """A list, labels beside texts, or columns of their own; none if there are none. Raises InputError."""
    match entry.get("choices", ("options",)):
        case None:
            return _in_columns(entry.columns)
        case str():
            raise InputError(f"{entry.where}: the choices are one text, not a list: write them as a list of JSON")
        case {"text": [*texts], "label": [*labels]} if len(texts) == len(labels):
            choices = Choices(texts, [*map(str, labels)])
        case {"text": [*texts]}:
            choices = Choices(texts)
        case [{**_first}, *_] as listed if all(isinstance(each, dict) for each in listed):
            labels = [_first_of(each, _LABEL_NAMES) for each in listed]
            choices = Choices([_first_of(each, _TEXT_NAMES) for each in listed], [] if None in labels else labels)
        case [*texts]:
            choices = Choices(texts)
        case {**by_label}:
            choices = Choices([*by_label.values()], [*map(str, by_label)])
        case _:
            choices = Choices()
    if not 1 < len(choices.values) <= len(LETTERS) or any(not isinstance(each, _PLAIN) for each in choices.values):
        raise InputError(f"{entry.where}: the choices are not a list of 2 to {len(LETTERS)} texts")
    return choices


def _first_of(choice: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((choice[name] for name in names if name in choice), None)


def _in_columns(columns: Mapping[str, Any]) -> Choices:
    named = choice_columns(columns)
    return Choices([columns[name] for name in named.names], named.labels, listed=False)


@dataclass(frozen=True)
class ChoiceEntry:
    """An entry with its choices, and its answer as the file has it."""

    entry: Entry
    answer: Any
    choices: Choices


def right_letters(rows: Sequence[ChoiceEntry], answer_is: str = "") -> list[str]:
    """The letter of each row's right choice, which its answer tells in the form ``answer_is``, or else in one form.

    Raises InputError that names the first row that cannot be read, or that can be read in two ways.
    """
    forms = [answer_is] if answer_is else [*_FORMS]
    places = {form: [_FORMS[form](row.answer, row.choices) for row in rows] for form in forms}
    possible = {form: [place for place in found if place is not None] for form, found in places.items()}
    possible = {form: found for form, found in possible.items() if len(found) == len(rows)}
    if not possible:
        raise _unreadable(rows, places)
    (form, found), *others = _without_unlikely(possible, rows).items()
    for other, differing in others:
        for row, one, two in zip(rows, found, differing, strict=True):
            if one != two:
                raise InputError(
                    f"{row.entry.where}: the answer '{row.answer}' is choice {LETTERS[one]} if it is "
                    f"{_MEANINGS[form]}, and {LETTERS[two]} if it is {_MEANINGS[other]}: say which with "
                    f"--answer-is {form} or --answer-is {other}"
                )
    return [LETTERS[place] for place in found]


def _by_letter(answer: Any, choices: Choices) -> int | None:
    word = _bare(answer)
    labels = [*map(_bare, choices.labels)]
    if labels.count(word) == 1:
        return labels.index(word)
    if any(label in LETTERS for label in labels):
        return None
    return LETTERS.index(word) if word and word in [*LETTERS[: len(choices.values)]] else None


def _by_text(answer: Any, choices: Choices) -> int | None:
    """Equal in type as well: the number 2 is not the text '2'."""
    values = [value.strip() if isinstance(value, str) else value for value in choices.values]
    answer = answer.strip() if isinstance(answer, str) else answer
    places = [place for place, value in enumerate(values) if type(value) is type(answer) and value == answer]
    return places[0] if len(places) == 1 else None


def _by_number(first: int) -> Callable[[Any, Choices], int | None]:
    def read(answer: Any, choices: Choices) -> int | None:
        digits = _bare(answer) if not isinstance(answer, bool) else ""
        place = int(digits) - first if digits.isdecimal() else -1
        return place if 0 <= place < len(choices.values) else None

    return read


_FORMS = {"letter": _by_letter, "text": _by_text, "index0": _by_number(0), "index1": _by_number(1)}


def _bare(answer: Any) -> str:
    """Without brackets and points around it, full-width or not, in upper case."""
    return unicodedata.normalize("NFKC", str(answer)).strip(" \t().[]:、。").upper()


def _without_unlikely(possible: dict[str, list[int]], rows: Sequence[ChoiceEntry]) -> dict[str, list[int]]:
    """What the types and the labels of a table rule out, is out.

    A table's own labels go before all else. A number of JSON counts the list from 0, as programs do, unless a long
    table never says 0; a string of JSON that is a choice's text is not a number.
    """
    if "letter" in possible and all(row.choices.labels for row in rows):
        return {"letter": possible["letter"]}
    if "text" in possible and all(row.entry.typed and isinstance(row.answer, str) for row in rows):
        return {form: found for form, found in possible.items() if not form.startswith("index")}
    says_zero = len(rows) < _MANY or any(row.answer == 0 for row in rows)
    if says_zero and all(isinstance(row.answer, int) and row.choices.listed for row in rows):
        return {form: found for form, found in possible.items() if form != "index1"} or possible
    return possible


def _unreadable(rows: Sequence[ChoiceEntry], places: Mapping[str, Sequence[int | None]]) -> InputError:
    """What is wrong with the first row that cannot be read in the form that most rows have."""
    form = min(places, key=lambda form: places[form].count(None))
    number = places[form].index(None)
    row = rows[number]
    if [*map(_bare, row.choices.values)].count(_bare(row.answer)) > 1:
        return InputError(
            f"{row.entry.where}: the answer '{row.answer}' is the text of several choices: give its letter"
        )
    if all(found[number] is None for found in places.values()):
        return InputError(f"{row.entry.where}: '{row.answer}' is none of the {len(row.choices.values)} choices")
    other = f"'{row.answer}' is not {_MEANINGS[form]}, as other answers of the file are"
    return InputError(f"{row.entry.where}: {other}: write all in one form")
