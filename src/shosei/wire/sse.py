"""Server-sent events, as OpenAI's streams use them: ``data: JSON`` lines, ended by ``data: [DONE]``."""

from __future__ import annotations

DONE = b"[DONE]"
COMMENT = b":"  # the name of what is not an event: a server's sign that it is still there

ServerSent = tuple[bytes, bytes]  # an event's data and its name, which OpenAI's have none of; or a comment


def encode(data: bytes, name: bytes = b"") -> bytes:
    """One event, or a comment. ``data`` must hold no newline (compact JSON never does)."""
    if name == COMMENT:
        return b":" + data + b"\n\n"
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + data + b"\n\n"


class Decoder:
    """Incremental decoder. Feed it chunks cut anywhere; it returns every event that became whole, and the comments.

    Accepts LF and CRLF line ends, and other fields (ignored), as the WHATWG specification has them.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._name = b""

    def feed(self, chunk: bytes) -> list[ServerSent]:
        events: list[ServerSent] = []
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if not line:
                if self._data:
                    events.append((b"\n".join(self._data), self._name))
                    self._data = []
                self._name = b""
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif line.startswith(COMMENT):
                events.append((line[1:], COMMENT))
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
        return events
