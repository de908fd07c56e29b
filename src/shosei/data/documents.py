"""Documents out of a user's files, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from shosei.data.records import LINE_BYTES, LONG_LINE, Record, lines, opened, parquet_rows, read_records
from shosei.errors import InputError
from shosei.wrong_path import FILE, advice

FORMATS = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".parquet")


class Document(msgspec.Struct):
    """A line of a ``.jsonl`` file. Further fields are ignored."""

    text: str


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The files among ``paths`` and, by name, those of a known format in the folders among them.

    Raises InputError for a path that is absent, of no known format, or a folder without such files.
    """
    return [file for path in paths for file in _files_of(path)]


def read_documents(file: Path) -> Iterator[str]:
    """The documents in ``file``: a line each of ``.txt``, ``text`` of each row of ``.jsonl`` and ``.parquet``.

    Empty ones are left out. Raises InputError that names the line at fault.
    """
    name = file.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        documents = _parquet(file)
    elif name.endswith(".jsonl"):
        documents = _texts(read_records(file))
    else:
        documents = _plain_lines(file)
    return (document for document in documents if document.strip())


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(FORMATS))
        if not files:
            raise InputError(f"{path} holds no text: no file that ends in {', '.join(FORMATS)}")
        return files
    if not path.exists():
        near = advice(path, FILE) or "name a file or folder of text"
        raise InputError(f"{path} does not exist; {near}")
    if not path.name.endswith(FORMATS):
        raise InputError(f"{path} is not text that can be read: its name must end in {', '.join(FORMATS)}")
    return [path]


def _plain_lines(file: Path) -> Iterator[str]:
    with opened(file) as stream:
        for number, line in lines(file, stream):
            if len(line) > LINE_BYTES:
                raise InputError(f"{file}:{number}: {LONG_LINE}")
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                place = f"{file}:{number}: not UTF-8 from byte {error.start + 1} on"
                raise InputError(f"{place}; convert the file") from None


def _texts(records: Iterable[Record]) -> Iterator[str]:
    for record in records:
        try:
            yield msgspec.convert(record.value, Document).text
        except msgspec.ValidationError as error:
            fault = record.fault or error
            raise InputError(f'{record.where}: not a document {{"text": "…"}}: {fault}') from None


def _parquet(file: Path) -> Iterator[str]:
    for number, row in enumerate(parquet_rows(file, "text"), 1):
        if not isinstance(row["text"], str):
            raise InputError(f"{file}:{number}: column 'text' holds no text there, but {row['text']!r}")
        yield row["text"]
