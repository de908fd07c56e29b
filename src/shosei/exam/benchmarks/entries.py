"""Rows of a data file with the line each begins on, and their columns under the names that the readers use."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shosei.errors import InputError

csv.field_size_limit(1 << 26)


@dataclass(frozen=True)
class Entry:
    """One row: its columns, and where it stands, for errors."""

    where: str  # file:line
    columns: Mapping[str, Any]

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
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_text(path: Path) -> str:
    """The text of a file, decompressed where its name ends in .gz. Raises InputError."""
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, EOFError) as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from None


def json_lines(path: Path, columns: Mapping[str, str]) -> list[Entry]:
    """One JSON object a line. ``columns``: the reader's name -> the file's. Raises InputError."""
    entries = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise InputError(f"{where}: not a JSON object but {type(row).__name__}")
        entries.append(_mapped(where, row, columns))
    return _some(path, entries)


def table(path: Path, delimiter: str, columns: Mapping[str, str], headings: Sequence[str]) -> list[Entry]:
    """A CSV or TSV file. Raises InputError.

    Its first line names the columns. Where that has none of ``headings`` and none that was mapped, it is a row like the
    others, of question and answer.
    """
    text = io.StringIO(read_text(path), newline="")
    if delimiter == "\t":  # in such files a quotation mark is only that
        reader = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(text, strict=True)
    entries: list[Entry] = []
    names: list[str] = []
    begin = 1
    try:
        for row in reader:
            where, begin = f"{path}:{begin}", reader.line_num + 1
            if not any(row):
                continue
            if not names:
                named = {*headings, *columns.values()} & {*row}
                names = row if named else ["question", "answer"]
                if named:
                    continue
            if len(row) != len(names):
                raise InputError(f"{where}: {len(row)} columns, where {len(names)} are named ({', '.join(names)})")
            entries.append(_mapped(where, dict(zip(names, row, strict=True)), columns))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}") from None
    return _some(path, entries)


def _mapped(where: str, row: dict[str, Any], columns: Mapping[str, str]) -> Entry:
    for name, column in columns.items():
        if column not in row:
            raise InputError(f"{where}: no column '{column}' for --map {name}={column}; it has {', '.join(row)}")
    return Entry(where, row | {name: row[column] for name, column in columns.items()})


def _some(path: Path, entries: list[Entry]) -> list[Entry]:
    if not entries:
        raise InputError(f"{path} holds no rows")
    return entries
