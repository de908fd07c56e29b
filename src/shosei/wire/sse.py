"""Server-sent events, as OpenAI's streams use them: ``data: JSON`` lines, ended by ``data: [DONE]``."""

from __future__ import annotations

DONE = b"[DONE]"
COMMENT = b":"  # the name of what is not an event: a server's sign that it is still there

_DATA = (b"data", b"\xef\xbb\xbfdata")  # a byte order mark may stand before the first event

ServerSent = tuple[bytes, bytes]  # an event's data and its name, which OpenAI's have none of; or a comment


def encode(data: bytes, name: bytes = b"") -> bytes:
    """One event, or a comment. ``data`` must hold no newline (compact JSON never does)."""
    if name == COMMENT:
        return b":" + data + b"\n\n"
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + data + b"\n\n"


class Decoder:
    """Incremental decoder. Feed it chunks cut anywhere; it returns every event that became whole, and the comments.

    Lines end with LF, CRLF or CR, and other fields are ignored, as the WHATWG specification has them.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False  # a LF would belong to it
        self._data: list[bytes] = []
        self._name = b""

    def feed(self, chunk: bytes) -> list[ServerSent]:
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        events: list[ServerSent] = []
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if not line:
                if self._data:
                    events.append((b"\n".join(self._data), self._name))
                    self._data = []
                self._name = b""
                continue
            field, colon, value = line.partition(b":")
            if field in _DATA:
                self._data.append(value.removeprefix(b" "))
            elif field == b"event":
                self._name = value.strip()
            elif colon and not field:
                events.append((value, COMMENT))
        return events

    def _with_lf(self, chunk: bytes) -> bytes:
        """The chunk with LF at the end of every line."""
        if self._after_cr and chunk:
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
