"""A request's body that is too large for memory, in a temporary file that nobody else can see."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator

_PIECE_BYTES = 1 << 18
_LEFT_BYTES = 1 << 30  # of the disk, to others: a log, for one; of a small disk a tenth


class Spool:
    """Takes a body as it comes and gives it again, piece by piece. Raises OSError where the disk is full, or nearly."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.size = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its request
        self._hash = hashlib.sha256()
        for part in parts:
            self.add(part)

    def add(self, data: bytes) -> None:
        disk = os.fstatvfs(self._file.fileno())
        if disk.f_bavail * disk.f_frsize < min(_LEFT_BYTES, disk.f_blocks * disk.f_frsize // 10):
            raise OSError(errno.ENOSPC, "the disk of temporary files is nearly full")
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def digest(self) -> str:
        """SHA-256 of the body, in hexadecimal."""
        return self._hash.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """The body from its beginning."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            yield piece

    def close(self) -> None:
        self._file.close()
