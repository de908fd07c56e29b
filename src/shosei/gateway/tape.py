"""An answer as it came, piece by piece: what recordings and kept bodies are made of."""

from __future__ import annotations

import codecs

import msgspec

from shosei.wire.connection import Headers, Reader

_NOT_KEPT = b"set-cookie"  # may let its reader in


class Tape(msgspec.Struct):
    """An upstream's answer. Pieces end where they ended on the wire, but for characters that were split there."""

    status: int = 0
    headers: list[tuple[str, str]] = []
    pieces: list[str] = []
    whole: bool = True  # else the connection ended within the answer


class Taping:
    """A reader that keeps on ``tape`` what it hands on to another."""

    def __init__(self, reader: Reader) -> None:
        self.tape = Tape()
        self.ended = False
        self._reader = reader
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def begin(self, status: int, headers: Headers, first_byte_ns: int) -> None:
        self.tape.status = status
        self.tape.headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name != _NOT_KEPT
        ]
        self._reader.begin(status, headers, first_byte_ns)

    def feed(self, data: bytes, now_ns: int) -> None:
        self.tape.pieces.append(self._decode(data))
        self._reader.feed(data, now_ns)
        self.ended = self._reader.ended
