"""The records of a user's file: JSON Lines, a JSON array or Parquet, plain or packed by gzip, told by content."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from shosei.errors import InputError
from shosei.text_files import BYTE_ORDER_MARK, UNPACKED_BYTES, UNREADABLE, encoding_remedy
from shosei.wrong_path import unreadable

LINE_BYTES = 1 << 24  # a line is in memory whole, and encoding takes many times its size
LONG_LINE = f"a line of more than {LINE_BYTES >> 20} MiB; cut it into several"
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_PARQUET_ROWS = 1024
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Record:
    """One value of a file; where it stands, as FILE:LINE or, in Parquet, FILE:ROW; why there is none, if so."""

    where: str
    value: Any = None
    fault: str = ""


def read_records(file: Path) -> Iterator[Record]:
    """All records of a file, blank lines left out; a line that is not JSON is a record with a fault.

    Raises InputError: the file cannot be read, is damaged, in another encoding or an array that is not JSON.
    """
    with opened(file) as stream:
        head = stream.peek(len(_PARQUET))
        if head.startswith(_PARQUET):
            if isinstance(stream.raw, gzip.GzipFile):
                raise InputError(f"{file}: a Parquet file packed by gzip; unpack it: gunzip")
            for number, row in enumerate(parquet_rows(file), 1):
                yield Record(f"{file}:{number}", _without_nulls(row))
            return
        start = head.removeprefix(BYTE_ORDER_MARK).lstrip()
        if start.startswith(b"["):
            yield from _array(file, stream)
            return
        for number, line in lines(file, stream):
            if line.strip():
                record = _record(file, number, line)
                if number == 1 and record.fault and _spans_lines(file):
                    raise InputError(
                        f"{file}: a JSON object over several lines; write each row as one line, or all as a JSON array"
                    )
                yield record


@contextlib.contextmanager
def opened(file: Path) -> Iterator[io.BufferedReader]:
    """The file's bytes, unpacked if they are gzip's. Raises InputError if it cannot be read or is damaged."""
    try:
        with open(file, "rb") as packed:
            if packed.peek(len(_GZIP)).startswith(_GZIP):
                with gzip.open(packed) as unpacked:
                    yield io.BufferedReader(cast(io.RawIOBase, unpacked), 1 << 16)
            else:
                yield packed
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{file}: damaged gzip: {error}") from None
    except OSError as error:
        raise unreadable(file, error) from None


def lines(file: Path, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each line's number, from 1, and bytes, without its end and the file's byte order mark; of one that is longer than
    ``LINE_BYTES``, its beginning, a byte longer.

    Raises InputError that names the line for damaged gzip.
    """
    number = 0
    try:
        while line := stream.readline(LINE_BYTES + 1):
            number += 1
            piece = line
            while len(piece) > LINE_BYTES and not piece.endswith(b"\n"):
                piece = stream.readline(LINE_BYTES + 1)
            yield number, (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).rstrip(b"\r\n")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{file}:{number + 1}: damaged gzip: {error}") from None


def parquet_rows(file: Path, column: str = "") -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, or their ``column`` alone.

    Raises InputError if it cannot be read, and ModuleNotFoundError without pyarrow, which the extra ``data`` brings.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as table:
            names = table.schema_arrow.names
            if column and column not in names:
                raise InputError(f"{file} has no column '{column}', but {', '.join(names)}")
            for batch in table.iter_batches(batch_size=_PARQUET_ROWS, columns=[column] if column else None):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, UnicodeDecodeError, ValueError, OverflowError, OSError) as error:
        raise InputError(f"cannot read {file}: {error}") from None


def _record(file: Path, number: int, text: bytes) -> Record:
    where = f"{file}:{number}"
    if len(text) > LINE_BYTES:
        return Record(where, fault=LONG_LINE)
    try:
        return Record(where, msgspec.json.decode(text))
    except UNREADABLE as error:
        return Record(
            where, fault=f"not JSON: {error}" if _is_utf8(text) else f"not UTF-8{encoding_remedy(file, text)}"
        )


def _spans_lines(file: Path) -> bool:
    """Whether the file begins with a JSON object that does not end in its first line."""
    with opened(file) as stream:
        text = stream.read(LINE_BYTES).removeprefix(BYTE_ORDER_MARK).decode("utf-8", "ignore").lstrip()
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "\n" in text[:end]


def _array(file: Path, stream: BinaryIO) -> Iterator[Record]:
    """The elements of one array, each with the line in which it begins; or, where each line is one, the lines.

    An array in which only a number is none of JSON's is read element by element, so that the others can be used.
    """
    data = stream.read(UNPACKED_BYTES + 1).removeprefix(BYTE_ORDER_MARK)
    if len(data) > UNPACKED_BYTES:
        raise InputError(f"{file}: an array of more than {UNPACKED_BYTES >> 20} MiB; write it as JSON Lines")
    try:
        elements = msgspec.json.decode(data, type=list[msgspec.Raw])
    except UNREADABLE:
        if not _is_utf8(data):
            raise InputError(f"{file}: not UTF-8{encoding_remedy(file, data)}") from None
        first, *more = data.strip().splitlines()
        if more and not _record(file, 1, first).fault:
            yield from (_record(file, number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip())
            return
        elements = _elements(file, data)
    number, end = 1, 0
    for element in elements:
        text = bytes(element)
        begin = data.index(text, end)
        number += data.count(b"\n", end, begin)
        yield _record(file, number, text)
        number, end = number + text.count(b"\n"), begin + len(text)


def _elements(file: Path, data: bytes) -> list[msgspec.Raw]:
    """The elements of an array, cut apart by a reader that passes over numbers such as NaN, as others write them.

    Raises InputError that names the line in which it is no array.
    """
    text, read, elements = data.decode(), json.JSONDecoder().raw_decode, []
    place, sign = text.index("[") + 1, ","
    try:
        while sign == ",":
            begin = place = _behind_space(text, place)
            _, place = read(text, begin)
            elements.append(msgspec.Raw(text[begin:place].encode()))
            place = _behind_space(text, place)
            sign, place = text[place : place + 1], place + 1
        if sign != "]" or text[place:].strip():
            raise ValueError("a comma or the end of the array is missing")
    except (ValueError, RecursionError) as error:
        reason, place = (error.msg, error.pos) if isinstance(error, json.JSONDecodeError) else (error, place)
        line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
        raise InputError(f"{file}:{line}: not a JSON array: {reason} (line {line}, column {column})") from None
    return elements


def _behind_space(text: str, place: int) -> int:
    space = _SPACE.match(text, place)
    return space.end() if space else place


def _without_nulls(value: Any) -> Any:
    """A table's value without what is not there: a struct has the fields of all rows, null where a row has none."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
