"""Documents out of a user's files, one after the other."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from shosei.errors import InputError

FORMATS = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".parquet")
_LINE_BYTES = 1 << 24  # a document is in memory whole, and encoding takes many times its size
_PARQUET_ROWS = 1024


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
        documents = _json_lines(file)
    else:
        documents = (line for _, line in _lines(file))
    return (document for document in documents if document.strip())


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(FORMATS))
        if not files:
            raise InputError(f"{path} holds no text: no file that ends in {', '.join(FORMATS)}")
        return files
    if not path.exists():
        raise InputError(f"{path} does not exist; name a file or folder of text")
    if not path.name.endswith(FORMATS):
        raise InputError(f"{path} is not text that can be read: its name must end in {', '.join(FORMATS)}")
    return [path]


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Each line's number, from 1, and text, without its end and the file's byte order mark."""
    number = 0
    try:
        with gzip.open(file) if file.name.endswith(".gz") else open(file, "rb") as stream:
            while line := stream.readline(_LINE_BYTES + 1):
                number += 1
                if len(line) > _LINE_BYTES:
                    raise InputError(
                        f"{file}:{number}: a line of more than {_LINE_BYTES >> 20} MiB; cut it into several"
                    )
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}:{number}: not UTF-8 from byte {error.start + 1} on; convert the file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{file}:{number + 1}: damaged gzip: {error}") from None


def _json_lines(file: Path) -> Iterator[str]:
    decode = msgspec.json.Decoder(Document).decode
    for number, line in _lines(file):
        if not line.strip():
            continue
        try:
            yield decode(line).text
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InputError(f'{file}:{number}: not a document {{"text": "…"}}: {error}') from None


def _parquet(file: Path) -> Iterator[str]:
    import pyarrow  # of an extra
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as table:
            if "text" not in table.schema_arrow.names:
                raise InputError(f"{file} has no column 'text', but {', '.join(table.schema_arrow.names)}")
            batches = table.iter_batches(batch_size=_PARQUET_ROWS, columns=["text"])
            texts = (text for batch in batches for text in batch.column(0).to_pylist())
            for number, text in enumerate(texts, 1):
                if not isinstance(text, str):
                    raise InputError(f"{file}:{number}: column 'text' holds no text there, but {text!r}")
                yield text
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        raise InputError(f"cannot read {file}: {error}") from None
