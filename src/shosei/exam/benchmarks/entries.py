"""Rows of a data file with the place of each and columns under the readers' names; what a user says about the file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from shosei.errors import InputError, nearest
from shosei.text_files import read_text

FORMATS = ("shosei", "humaneval", "table", "squad")
GRADERS = ("number", "choice", "label", "text", "exact", "judge")  # of a table
ANSWER_IS = ("index0", "index1", "letter", "text")


@dataclass(frozen=True)
class Schema:
    """What a user says about a file. ``form`` is its format; empty: the one that it looks like.

    ``columns`` gives our names of fields the file's own; ``labels`` gives its labels names. Empty ``lang``, ``grader``
    and ``answer_is`` (the form in which the right choice is given) follow from the tasks. ``f1`` names the benchmark
    whose own rule grades free text; empty: ours. Raises InputError for what is none of these.
    """

    form: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    lang: str = ""
    grader: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    answer_is: str = ""
    f1: str = ""

    def __post_init__(self) -> None:
        if self.form and self.form not in FORMATS:
            options = ", ".join(FORMATS)
            raise InputError(f"unknown format '{self.form}'{nearest(self.form, FORMATS)}: choose one of {options}")
        if self.grader and self.grader not in GRADERS:
            raise InputError(f"a table's grader is one of {', '.join(GRADERS)}, not '{self.grader}'")
        if self.f1 not in ("", "cmrc2018"):
            raise InputError(f"--f1 {self.f1}: the only other rule for free text is cmrc2018; leave --f1 out for ours")
        if self.answer_is and self.answer_is not in ANSWER_IS:
            raise InputError(f"an answer is given as one of {', '.join(ANSWER_IS)}, not '{self.answer_is}'")


@dataclass(frozen=True)
class Entry:
    """One row: its columns, and where it stands, for errors. ``typed``: its numbers are numbers, not text."""

    where: str  # file:line, or file and entry
    columns: Mapping[str, Any]
    typed: bool = True

    def get(self, name: str, others: Sequence[str] = ()) -> Any:
        """The first of the columns that is there; None if none is."""
        return next((self.columns[each] for each in (name, *others) if self.columns.get(each) not in (None, "")), None)

    def text(self, name: str, others: Sequence[str] = ()) -> str:
        """As ``get``, as text; empty if the column is. Raises InputError if none is there."""
        value = self.get(name, others)
        if value is None:
            if any(each in self.columns for each in (name, *others)):
                return ""
            has = ", ".join(map(str, self.columns)) or "nothing"
            raise InputError(f"{self.where}: no '{name}'; the row has {has}: name its column with --map {name}=COLUMN")
        return str(value) if isinstance(value, str | Decimal) else json.dumps(value, ensure_ascii=False, default=str)


def json_entries(path: Path, columns: Mapping[str, str]) -> list[Entry]:
    """One JSON object a line, or an array of them. ``columns``: the reader's name -> the file's. Raises InputError."""
    text = read_text(path)
    rows = _array(path, text) if text.lstrip().startswith("[") else _lines(path, text)
    return some(path, [mapped_entry(where, row, columns) for where, row in rows])


def parse_json(text: str, where: str) -> Any:
    """Numbers keep their digits: those with a point or an exponent are Decimal.

    Raises InputError: no JSON, or nested deeper, or with other text, than any reader takes; a key that is given twice.
    """
    try:
        value = json.loads(text, parse_float=_decimal, parse_constant=_constant, object_pairs_hook=_object)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise InputError(f"{where}: an escape such as \\ud83d stands for half a character: write both halves") from None
    except RecursionError:
        raise InputError(f"{where}: nested too deep") from None
    except json.JSONDecodeError as error:
        line = error.lineno - 1
        file, _, number = where.rpartition(":")
        place = f"{file}:{int(number) + line}" if number.isdecimal() else where
        raise InputError(f"{place}: not JSON: {error.msg}: column {error.colno}") from None
    except ValueError as error:  # a key twice, or a number that nobody reads
        raise InputError(f"{where}: not JSON: {error}") from None
    return value


def _decimal(digits: str) -> Decimal:
    if not math.isfinite(float(digits)):
        raise ValueError(f"the number {digits} is too large")
    return Decimal(digits)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(columns := dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice}' is given twice")
    return columns


def _array(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, row in enumerate(parse_json(text, f"{path}:1"), 1):
        yield f"{path}, entry {number}", row


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}:{number}"
            yield where, parse_json(line, where)


def mapped_entry(where: str, row: Any, columns: Mapping[str, str], *, typed: bool = True) -> Entry:
    """A row with its columns also under the names that they are mapped to. Raises InputError."""
    if not isinstance(row, dict):
        raise InputError(f"{where}: not a JSON object but {type(row).__name__}")
    for name, column in columns.items():
        if column not in row:
            raise InputError(f"{where}: no column '{column}' for --map {name}={column}; it has {', '.join(row)}")
    return Entry(where, row | {name: row[column] for name, column in columns.items()}, typed)


def some(path: Path, entries: list[Entry]) -> list[Entry]:
    """The entries. Raises InputError: there are none."""
    if not entries:
        raise InputError(f"{path} holds no rows")
    return entries
