"""The counts in a GGUF file's header, held against the file before gguf's reader believes them."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

# Far beyond any model: the largest vocabularies have 1.5 million tokens, scores, types and merges together.
_MOST_ENTRIES = 4_000_000
_MOST_KEYS, _MOST_TENSORS = 10_000, 100_000
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes by the number of a type
_STRING, _ARRAY = 8, 9


def check_header(file: Path) -> None:
    """Raises ValueError, which says what is wrong, if the header is not one, or has more than the file or a model."""
    with file.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        (version,) = struct.unpack("<I", _taken(opened, 4))
        header = _Header(opened, "<" if version < 1 << 16 else ">")
        tensors, keys = header.number(8), header.number(8)
        if tensors > _MOST_TENSORS or keys > _MOST_KEYS:
            raise ValueError(f"{tensors:,} tensors, {keys:,} keys")
        for _ in range(keys):
            header.skip(header.number(8))
            header.skip_value(header.number(4))


class _Header:
    def __init__(self, opened: BinaryIO, order: str) -> None:
        self._opened, self._order = opened, order
        self._size, self._entries = os.fstat(opened.fileno()).st_size, 0

    def number(self, size: int) -> int:
        return int(struct.unpack(self._order + {4: "I", 8: "Q"}[size], _taken(self._opened, size))[0])

    def skip(self, size: int) -> None:
        if self._opened.tell() + size > self._size:
            raise ValueError("it ends within its metadata")
        self._opened.seek(size, os.SEEK_CUR)

    def skip_value(self, kind: int) -> None:
        if kind == _STRING:
            self.skip(self.number(8))
        elif kind == _ARRAY:
            self._skip_array(self.number(4), self.number(8))
        else:
            self.skip(_size(kind))

    def _skip_array(self, kind: int, count: int) -> None:
        self._entries += count
        if self._entries > _MOST_ENTRIES:
            raise ValueError(f"lists of {self._entries:,} entries")
        if kind != _STRING:
            self.skip(_size(kind) * count)
            return
        for _ in range(count):
            self.skip(self.number(8))


def _size(kind: int) -> int:
    if kind not in _SIZES:
        raise ValueError(f"a value of type {kind}")
    return _SIZES[kind]


def _taken(opened: BinaryIO, size: int) -> bytes:
    content = opened.read(size)
    if len(content) < size:
        raise ValueError("it ends within its header")
    return content
