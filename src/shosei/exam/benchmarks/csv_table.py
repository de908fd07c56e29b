"""CSV and TSV files as rows: their separator, the line that names the columns, and what is wrong with them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shosei.errors import InputError
from shosei.exam.benchmarks.entries import Entry, mapped_entry, some
from shosei.text_files import read_text

_NAME = re.compile(r"[A-Za-z_]+")  # what may be a column's name that is not known here
_SEPARATORS = ";\t"  # beside the comma

csv.field_size_limit(1 << 26)


def table(path: Path, delimiter: str, columns: Mapping[str, str], headings: Sequence[str]) -> list[Entry]:
    """The rows of a file. Raises InputError.

    Its first line names the columns. Where that has none of ``headings`` and none that was mapped, it is a row like the
    others, of question and answer. Of a .csv file whose first line names columns between semicolons or tabs, these
    separate all rows.
    """
    text = read_text(path)
    known = {*headings, *columns.values()}
    if delimiter == ",":
        delimiter = _separator(text, known)
    rows = list(_rows(path, text, delimiter))
    if not rows:
        return some(path, [])
    where, first = rows[0]
    names = [name.strip() for name in first]
    if known & {*names}:
        rows = rows[1:]
        _refuse_twice(where, names)
    else:
        _refuse_unknown_names(rows)
        names = ["question", "answer"]
    return some(
        path, [_entry(where, row, names, columns, named=names == [*map(str.strip, first)]) for where, row in rows]
    )


def _rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Each row that is not empty, after its place. In files of tabs a quotation mark is only that."""
    lines = io.StringIO(text, newline="")
    if delimiter == "\t":
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
    begin = 1
    try:
        for row in reader:
            if any(row):
                yield f"{path}:{begin}", row
            begin = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}") from None


def _separator(text: str, known: set[str]) -> str:
    line = text.lstrip().partition("\n")[0]
    if known & {name.strip(' "\r') for name in line.split(",")}:
        return ","
    for separator in _SEPARATORS:
        if known & {name.strip(' "\r') for name in line.split(separator)} and separator in line:
            return separator
    return ","


def _refuse_twice(where: str, names: Sequence[str]) -> None:
    if twice := next((name for name in names if name and names.count(name) > 1), ""):
        raise InputError(f"{where}: the column '{twice}' is named twice: rename one of them")


def _refuse_unknown_names(rows: Sequence[tuple[str, list[str]]]) -> None:
    """A first line of single words, unlike all others, names columns that are not known here."""
    (where, first), *others = rows
    if others and _are_names(first) and not any(_are_names(row) for _, row in others):
        shown = ", ".join(first)
        raise InputError(
            f"{where}: none of the columns {shown} is known: name two with --map question=… --map answer=…"
        )


def _are_names(row: Sequence[str]) -> bool:
    return all(_NAME.fullmatch(cell.strip()) for cell in row)


def _entry(where: str, row: Sequence[str], names: Sequence[str], columns: Mapping[str, str], *, named: bool) -> Entry:
    if len(row) != len(names):
        count = f"{len(row)} columns"
        if named:
            raise InputError(f"{where}: {count}, where {len(names)} are named ({', '.join(names)})")
        raise InputError(
            f"{where}: {count}, and no line that names them: begin the file with one, such as question,A,B,C,D,answer"
        )
    return mapped_entry(where, dict(zip(names, row, strict=True)), columns, typed=False)
