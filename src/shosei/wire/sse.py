"""Server-sent events, as OpenAI's streams use them: ``data: JSON`` lines, ended by ``data: [DONE]``."""

from __future__ import annotations

DONE = b"[DONE]"


def encode(data: bytes) -> bytes:
    """One event. ``data`` must hold no newline (compact JSON never does)."""
    return b"data: " + data + b"\n\n"


class Decoder:
    """Incremental decoder. Feed it chunks cut anywhere; it returns the ``data`` of every event that became whole.

    Accepts LF and CRLF line ends, comments, and other fields (ignored), as the WHATWG specification has them.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        events = []
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                    self._data = []
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
        return events
