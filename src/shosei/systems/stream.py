"""What a task writes to one of its pipes: its beginning and its end are kept, however much it is."""

from __future__ import annotations

import contextlib
import os

_CHUNK_BYTES = 1 << 16
_FIRST_BYTES, _LAST_BYTES = 64 << 10, 192 << 10  # of a log


class Stream:
    """The reading end of a pipe whose other end a job has. The first ``head_bytes`` are kept, and the last 192 KiB."""

    def __init__(self, head_bytes: int = _FIRST_BYTES) -> None:
        self.end, self._theirs = os.pipe()
        os.set_blocking(self.end, False)
        self.size = 0  # bytes, of all that came
        self._head_bytes = head_bytes
        self._head, self._tail = bytearray(), bytearray()

    def give(self) -> int:
        """The job's end."""
        return self._theirs

    def given(self) -> None:
        """The job has its end: ours of it closes, so that the job's own close can be seen."""
        os.close(self._theirs)

    def read(self) -> bool:
        """Take what is there; whether more may come."""
        with contextlib.suppress(BlockingIOError):
            # One chunk a call, so that who writes without end does not keep us from all others.
            if chunk := os.read(self.end, _CHUNK_BYTES):
                self._take(chunk)
                return True
            return False
        return True

    def drain(self) -> None:
        """Take what is left in the pipe, and close it."""
        capacity = 1 << 20  # no pipe holds more, unless whoever has its other end goes on writing
        with contextlib.suppress(BlockingIOError):
            while capacity > 0 and (chunk := os.read(self.end, _CHUNK_BYTES)):
                self._take(chunk)
                capacity -= len(chunk)
        os.close(self.end)

    def _take(self, chunk: bytes) -> None:
        self.size += len(chunk)
        room = self._head_bytes - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        del self._tail[:-_LAST_BYTES]

    @property
    def whole(self) -> bytes | None:
        """All that came; None if it is more than the head."""
        return bytes(self._head) if self.size == len(self._head) else None

    def log(self) -> bytes:
        """It as a log: the first 64 KiB and the last 192, with a line between that says how much is left out."""
        kept = bytes(self._head + self._tail)
        left_out = self.size - _FIRST_BYTES - _LAST_BYTES
        if left_out <= 0:
            return kept
        return b"%s\n[... %d bytes left out ...]\n%s" % (kept[:_FIRST_BYTES], left_out, kept[-_LAST_BYTES:])
