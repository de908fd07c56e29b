"""Files that are either whole or absent: written under a temporary name, fsynced, renamed. And JSON Lines, read."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from shosei.errors import InputError

UNPACKED_BYTES = 1 << 28  # of a compressed file that is read whole
_KANA, _HAN = re.compile(r"[\u3041-\u30fe]"), re.compile(r"[\u4e00-\u9fff]")  # full-width: others come by accident
_SOME = 0.1


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write ``data`` to ``path`` so that a kill at any moment leaves the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` for a library to write to; on success fsync it and rename it.

    Works for a file and for a folder. A folder that already stands at ``path`` is moved aside, to ``.NAME.old``, and
    then replaced; a kill between the two leaves it there, whole, and the next writer puts it back. The names are fixed,
    so that the next writer finds what a killed one left: one target has one writer at a time.
    """
    temporary, old = path.with_name(f".{path.name}.tmp"), path.with_name(f".{path.name}.old")
    _settle(path, temporary, old)
    try:
        yield temporary
        for file in [*temporary.rglob("*"), temporary]:
            _fsync(file)
        if temporary.is_dir() and path.exists():
            os.rename(path, old)
        os.replace(temporary, path)
        _fsync(path.parent)
    finally:
        _settle(path, temporary, old)


def read_text(path: Path) -> str:
    """The whole text of a file in UTF-8, without a byte order mark, unpacked where its name ends in .gz.

    Raises InputError: it cannot be read, unpacks to more than ``UNPACKED_BYTES``, or is in another encoding.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                data = stream.read(UNPACKED_BYTES + 1)
        else:
            data = path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path}: damaged gzip: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    if path.suffix == ".gz" and len(data) > UNPACKED_BYTES:
        raise InputError(f"{path} unpacks to more than {UNPACKED_BYTES >> 20} MiB: unpack it, and name a part of it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8{_remedy(path, data)}") from None


def _remedy(path: Path, data: bytes) -> str:
    """How to convert a file, if it looks like text in an encoding that is known here."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "UTF-16"
    elif _share(_KANA, data, "cp932") > _SOME:
        name = "Shift_JIS"
    elif _share(_HAN, data, "gb18030") > _SOME:
        name = "GBK"
    else:
        return " text"
    file = path.name.removesuffix(".gz")
    return f" but, it seems, {name}: 'iconv -f {name} -t UTF-8 {file} > utf8-{file}' converts it"


def _share(characters: re.Pattern[str], data: bytes, codec: str) -> float:
    """Of what is not ASCII, if it is read so; 0 if it cannot be."""
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        return 0.0
    return len(characters.findall(text)) / max(1, sum(not character.isascii() for character in text))


def remove(path: Path) -> None:
    """Remove a file or a folder tree; nothing happens if it is absent."""
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            remove(child)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on the file ``path`` (made if absent). Freed by the kernel if the holder dies.

    Without ``wait``, raise BlockingIOError if it is held by another.
    """
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def json_lines(path: Path, kind: Any, what: str) -> Iterator[tuple[str, Any]]:
    """Each line of a JSON Lines file that is not blank, decoded as ``kind``, after ``FILE:NUMBER`` for errors.

    Raises InputError as ``read_text``, and for a line that is not ``what``, such as "a prompt".
    """
    decode = msgspec.json.Decoder(kind).decode
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            try:
                yield f"{path}:{number}", decode(line)
            except (msgspec.DecodeError, RecursionError) as error:
                raise InputError(f"{path}:{number}: not {what}: {error}") from None


def sha256(*paths: Path) -> str:
    """Hex SHA-256 of the files' bytes, read in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _settle(path: Path, temporary: Path, old: Path) -> None:
    """Leave ``path`` alone: no unfinished new version beside it, and the old one only in the place of a missing one."""
    remove(temporary)
    if old.exists():
        # Renamed even to be removed: under its own name it is always whole.
        os.rename(old, temporary if path.exists() else path)
        remove(temporary)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
