"""A request's body that is too large for memory, in a temporary file that nobody else can see."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator

_PIECE_BYTES = 1 << 18


class Spool:
    """Takes a body as it comes and gives it again, piece by piece. Raises OSError where the disk is full."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.size = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its request
        self._hash = hashlib.sha256()
        for part in parts:
            self.add(part)

    def add(self, data: bytes) -> None:
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
