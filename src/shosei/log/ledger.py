"""Requests in flight, on record for the case that the process that answers them is killed."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

_SUFFIX = "inflight"
SLOT_BYTES = 1024
_EMPTY = b"\n".rjust(SLOT_BYTES)


class Ledger:
    """A file beside a process's segment, with one line for each request that the process has begun and not yet ended.

    The line is the ``request`` event that is true if the process ends now. It goes straight to the kernel, which keeps
    what a killed process wrote, and is taken out when the request ends: the file is as large as the most requests that
    were ever in flight together. The process locks it for as long as it lives; so a reader knows which ones count. (A
    copy of a live run's folder is locked by nobody: in it, what was in flight is lost.) Raises OSError.
    """

    def __init__(self, segment: Path) -> None:
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        for number in itertools.count(1):  # a process may have several writers, one after another or at once
            self._path = segment.with_suffix(f".{number}.{_SUFFIX}")
            with contextlib.suppress(FileExistsError):
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
                break
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def begin(self, request: str, line: bytes) -> None:
        """Put a request's line on record, of less than ``SLOT_BYTES``."""
        slot = self._free[-1] if self._free else len(self._slots)
        os.pwrite(self._file, line.ljust(SLOT_BYTES - 1) + b"\n", slot * SLOT_BYTES)
        self._slots[request] = slot
        del self._free[-1:]

    def end(self, request: str) -> None:
        """Take a request's line out, if there is one."""
        slot = self._slots.pop(request, None)
        if slot is not None:
            self._free.append(slot)
            os.pwrite(self._file, _EMPTY, slot * SLOT_BYTES)

    def close(self) -> None:
        """Let go of the file: what has not ended is lost. One without such a line is removed."""
        if not self._slots:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def abandoned(folder: Path) -> Iterator[Path]:
    """The ledgers in a run's ``log/`` folder whose process has ended, in reading order."""
    for path in sorted(folder.glob(f"*.{_SUFFIX}")):
        with contextlib.suppress(BlockingIOError, FileNotFoundError):  # it lives, or has just ended well
            if path.is_file():
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                yield path
