"""Files that are either whole or absent: written under a temporary name, fsynced, renamed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from shosei.errors import OF_THE_DISK
from shosei.progress import BYTES, progress


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
    so that the next writer finds what a killed one left: one target has one writer at a time. Where the disk is full,
    an OSError names ``path``, whatever the library says of it.
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
    except Exception as error:
        if number := _errno_of_disk(error):
            raise OSError(number, os.strerror(number), str(path)) from error
        raise
    finally:
        _settle(path, temporary, old)


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


def user_cache() -> Path:
    """Where what can be made again is kept for this user; it need not exist. Raises OSError for one without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "shosei"
    except RuntimeError as error:
        raise OSError(str(error)) from None


def own_folder(folder: Path) -> None:
    """Make ``folder``, if it is missing, for this user alone. Raises OSError: it cannot be, or others can enter it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder of your own that nobody else can enter: chmod 700 {folder}")


def sha256(*paths: Path) -> str:
    """Hex SHA-256 of the files' bytes, read in the given order."""
    digest = hashlib.sha256()
    with progress("reading checksums", sum(path.stat().st_size for path in paths), BYTES) as work:
        for path in paths:
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
                    work.advance(len(block))
    return digest.hexdigest()


def _settle(path: Path, temporary: Path, old: Path) -> None:
    """Leave ``path`` alone: no unfinished new version beside it, and the old one only in the place of a missing one."""
    remove(temporary)
    if old.exists():
        # Renamed even to be removed: under its own name it is always whole.
        os.rename(old, temporary if path.exists() else path)
        remove(temporary)


def _errno_of_disk(error: BaseException | None) -> int | None:
    """What was wrong with the disk, as an error or one that it came from says: libraries have errors of their own."""
    while error:
        told = re.search(r"\(os error (\d+)\)", str(error))  # so Rust's do
        number = error.errno if isinstance(error, OSError) else int(told[1]) if told else None
        if number in OF_THE_DISK:
            return number
        error = error.__cause__ or error.__context__
    return None


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
