"""Texts of ratings and surveys, taken out of a run's log for good: their bytes leave the segments, the numbers stay."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from shosei.files import atomic_path, locked
from shosei.log.segments import segments

# Fields with text, or made of it, by kind.
TEXTS = {"rating": ("comment", "question", "answer", "context"), "survey": ("words",)}
_OPINION = re.compile(rb'"kind"\s*:\s*"(?:rating|survey)"')
_LEFT_BEHIND = ".*.jsonl.tmp"  # by a removal that was killed

Chosen = Callable[[str, int], bool]  # of a rater's hash, and the Unix time of the rating in nanoseconds


@dataclass(slots=True)
class Removal:
    """What was removed, or would be: ``chosen`` ratings and surveys, those of them that had text, by so many raters.

    ``broken`` are lines of ratings that nobody can read, which a full disk leaves; they went as well.
    """

    chosen: int = 0
    with_text: int = 0
    raters: set[str] = field(default_factory=set)
    broken: int = 0


def remove_texts(folder: Path, chosen: Chosen, now_ns: int, *, dry_run: bool = False) -> Removal:
    """Remove the texts of ``chosen`` ratings and surveys of every attempt in a run's ``log/`` folder.

    Each segment is written anew beside the old one, which it then replaces: a kill leaves the one or the other, and a
    full disk the old one. Whoever writes the segment meanwhile goes on in the new one (``log/writer.py``). Raises
    OSError.
    """
    removal = Removal()
    with locked(folder.parent / ".lock"):
        for left_behind in folder.glob(_LEFT_BEHIND):
            left_behind.unlink()
        for path in segments(folder):
            there = _Remover(chosen, now_ns)
            with path.open("rb") as file:
                changes = sum(there.without_texts(line) != line for line in file)
            if changes and not dry_run:
                there = _Remover(chosen, now_ns)
                _rewrite(path, there.without_texts)
            removal.chosen += there.removal.chosen
            removal.with_text += there.removal.with_text
            removal.raters |= there.removal.raters
            removal.broken += there.removal.broken
    return removal


class _Opinion(msgspec.Struct):
    """Of a line what says whether its texts go."""

    kind: str
    rater: str = ""
    wall_ns: int = 0
    rated_wall_ns: int | None = None


class _Remover:
    """Takes the texts out of lines, and counts."""

    def __init__(self, chosen: Chosen, now_ns: int) -> None:
        self.removal = Removal()
        self._chosen, self._now_ns = chosen, now_ns

    def without_texts(self, line: bytes) -> bytes:
        """A line as it is to stand in the log; empty, where it is of a rating and cannot be read."""
        if not _OPINION.search(line):
            return line
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
            opinion = msgspec.convert(fields, _Opinion)
        except msgspec.DecodeError:
            self.removal.broken += 1
            return b"\n" if line.endswith(b"\n") else b""
        # Another kind of event may have such words within it.
        if opinion.kind not in TEXTS or not self._chosen(opinion.rater, opinion.rated_wall_ns or opinion.wall_ns):
            return line
        self.removal.chosen += 1
        texts = [name for name in TEXTS[opinion.kind] if fields.pop(name, None)]
        if not texts:
            return line
        self.removal.with_text += 1
        self.removal.raters.add(opinion.rater)
        return msgspec.json.encode(fields | {"text_removed_wall_ns": self._now_ns}) + b"\n"


def _rewrite(path: Path, edit: Callable[[bytes], bytes]) -> None:
    """Put a new file of edited lines in the place of ``path``, with the same owner and mode."""
    with path.open("rb") as old, atomic_path(path) as temporary:
        status = os.fstat(old.fileno())
        with temporary.open("xb") as new:
            os.fchmod(new.fileno(), stat.S_IMODE(status.st_mode))
            os.fchown(new.fileno(), status.st_uid, status.st_gid)
            _copy(old, new, edit)  # while its process goes on writing
            os.fsync(new.fileno())
            fcntl.flock(old, fcntl.LOCK_EX)  # until it is replaced: now the process waits
            _copy(old, new, edit)
            new.write(edit(old.read()))  # what a full disk left of a line


def _copy(old: BinaryIO, new: BinaryIO, edit: Callable[[bytes], bytes]) -> None:
    """Copy whole lines, edited; what is no whole line yet is left."""
    while (line := old.readline()).endswith(b"\n"):
        new.write(edit(line))
    old.seek(-len(line), os.SEEK_CUR)
