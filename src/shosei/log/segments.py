"""Segments: files of lines, read in blocks of whole lines, and again where whole events are wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from shosei.log.columns import Rows
from shosei.log.event import Event

_BLOCK = 2**21
_OPEN_FILES = 64
_NEWLINE = ord("\n")


def segments(folder: Path) -> list[Path]:
    """The segments of a run's ``log/`` folder, in reading order. What has such a name and is no file is none."""
    return [path for path in sorted(folder.glob("*.jsonl")) if path.is_file()]


def no_segments(folder: Path) -> list[Path]:
    """What is named as segments are, but is no file: a folder, a pipe, a link to nothing."""
    return [path for path in sorted(folder.glob("*.jsonl")) if not path.is_file()]


def blocks(file: BinaryIO, end: float = float("inf")) -> Iterator[bytes]:
    """What lies before ``end`` in the rest of a file, in blocks of whole lines; ``end`` is the end of a line."""
    while block := file.read(int(min(_BLOCK, end - file.tell()))):
        yield block if file.tell() == end else block + file.readline()


def line_ends(block: bytes) -> np.ndarray:
    """Where each line of a block of whole lines ends, its newline included."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _NEWLINE) + 1
    return ends if block.endswith(b"\n") else np.append(ends, len(block))


class Lines:
    """The events of one kind where they lie in ``files``: ``arrays`` has each one's ``file``, ``end`` and ``size``.

    ``as_written``: the writer of today would spell every line as it stands.
    """

    def __init__(self, kind: type[Event], files: list[Path], arrays: dict[str, np.ndarray], as_written: bool) -> None:
        self._decode = msgspec.json.Decoder(kind).decode_lines
        self._files, self._arrays, self._as_written = files, arrays, as_written

    def events(self, rows: Rows) -> Iterator[Any]:
        for block in self._blocks(rows):
            yield from self._decode(block)

    def lines(self, rows: Rows) -> Iterator[bytes]:
        if not self._as_written:
            return map(msgspec.json.encode, self.events(rows))
        return (block.replace(b"\n", b"") for block in self._blocks(rows))

    def _blocks(self, rows: Rows) -> Iterator[bytes]:
        """Neighbouring lines are read together."""
        file, ends, sizes = (self._arrays[name][rows] for name in ("file", "end", "size"))
        begins = ends - sizes
        is_first = np.ones(len(ends), bool)
        is_first[1:] = (begins[1:] != ends[:-1]) | (file[1:] != file[:-1])
        first = np.flatnonzero(is_first)
        last = np.append(first[1:], len(ends))[: len(first)] - 1
        with contextlib.ExitStack() as stack:
            opened: dict[int, BinaryIO] = {}
            runs = zip(file[first].tolist(), begins[first].tolist(), ends[last].tolist(), strict=True)
            for place, begin, end in runs:
                if place not in opened:
                    if len(opened) == _OPEN_FILES:  # a run of many processes has more than may be open at once
                        stack.close()
                        opened.clear()
                    opened[place] = stack.enter_context(self._files[place].open("rb"))
                opened[place].seek(begin)
                yield from blocks(opened[place], end)
