"""Progress of a command that has never heard of us: a file that it touches, or words that it prints; its watchdog."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from shosei.errors import InputError
from shosei.log import Event, Heartbeat
from shosei.supervise.steps import check_groups

if TYPE_CHECKING:
    from shosei.supervise.process import Process

_HEAD = 4096  # of a heartbeat file is compared; a step's number fits
_BLOCK = 65_536
_LINE = 16_384  # what is remembered of a line that does not end
_DRAIN_S = 2.0
_POLL_S = 0.25
_EMIT_S = 1.0
_AT_ONCE_MS = 1  # so close, lines are no step's time apart but one flush of a buffer
_NO_MEMORY = re.compile(rb"MemoryError|bad_alloc|out of memory|Cannot allocate memory", re.IGNORECASE)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeartbeatConfig:
    """What shows a command's progress. Silence of ``timeout_s`` means that it hangs; None: any silence is fine.

    Raises InputError where a limit has nothing to watch, more than one thing shows progress, or a pattern is not one.
    """

    timeout_s: float | None = None
    file: Path | None = None
    pattern: str | None = None  # regular expression, searched in every line of output
    steps: str | None = None  # another, each of whose matches is a step of training, told by its named groups

    def __post_init__(self) -> None:
        options = {
            "--heartbeat-file": self.file,
            "--heartbeat-pattern": self.pattern,
            "--step-pattern": self.steps,
        }
        given = [option for option, value in options.items() if value is not None]
        if len(given) > 1:
            raise InputError(f"both {' and '.join(given)}: choose the one that shows progress")
        if self.timeout_s is not None and not given:
            raise InputError(f"--heartbeat-timeout needs one of {', '.join(options)} to watch")
        try:
            groups = re.compile(self.searched or "").groupindex
        except re.error as error:
            raise InputError(f"{given[0]} {self.searched}: no regular expression ({error})") from None
        if self.steps is not None:
            check_groups(groups)

    @property
    def searched(self) -> str | None:
        """The regular expression that output is searched for, if any."""
        return self.pattern if self.steps is None else self.steps


class Pulse(Protocol):
    """The heartbeats of one start of a command."""

    def beats(self) -> int:
        """How many there have been so far."""


class FilePulse:
    """A beat is a change of the file's time or contents between two looks at it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beats = 0
        self._seen = self._look()

    def beats(self) -> int:
        seen = self._look()
        if seen and seen != self._seen:
            self._seen = seen
            self._beats += 1
        return self._beats

    def _look(self) -> tuple[int, bytes] | None:
        try:
            with open(self._path, "rb") as file:
                return os.fstat(file.fileno()).st_mtime_ns, file.read(_HEAD)
        except OSError:
            return None


class OutputPulse:
    """A beat is a match of the pattern. The output goes on to ours byte for byte, as soon as it comes.

    Each stream is a pipe and our own descriptor that it is passed on to. ``seen`` is given the matches that came at
    once, in the thread that reads; a line is then searched only once it has ended, so that no number is cut.
    """

    def __init__(
        self,
        pattern: str,
        streams: Sequence[tuple[IO[bytes], int]],
        seen: Callable[[Sequence[re.Match[bytes]]], None] | None = None,
    ) -> None:
        self._pattern = re.compile(pattern.encode(), re.MULTILINE)
        self._seen = seen
        self._counts = [0] * len(streams)
        self._tails = [b""] * len(streams)
        self._threads = [
            threading.Thread(target=self._pass_on, args=(place, *stream), name="output", daemon=True)
            for place, stream in enumerate(streams)
        ]
        for thread in self._threads:
            thread.start()

    def beats(self) -> int:
        return sum(self._counts)

    def drain(self) -> None:
        """Wait until all has been passed on. What a surviving process still holds open is not waited for."""
        for thread in self._threads:
            thread.join(_DRAIN_S)

    def tells_of_no_memory(self) -> bool:
        """Whether the last words are those of a process that could not get memory."""
        return any(_NO_MEMORY.search(tail) for tail in self._tails)

    def _pass_on(self, place: int, pipe: IO[bytes], target: int) -> None:
        with pipe:
            line, searched = b"", 0  # from a line's beginning on, and how much of it has been seen
            while block := os.read(pipe.fileno(), _BLOCK):
                if not _write_all(target, block):
                    return  # nobody reads us: closing the pipe tells the command so, as if it wrote there itself
                self._tails[place] = (self._tails[place] + block)[-_LINE:]
                line += block
                if self._seen and len(line) < _BLOCK and _comes_more(pipe):
                    continue
                searched = self._search(place, line, searched, _ended(line) if self._seen else len(line))
                begin = max(line.rfind(b"\n") + 1, len(line) - _LINE)
                line, searched = line[begin:], max(0, searched - begin)
            self._search(place, line, searched, len(line))

    def _search(self, place: int, line: bytes, begin: int, end: int) -> int:
        """Count the matches from ``begin`` to ``end``; return where the last of them ends."""
        matches = list(self._pattern.finditer(line, begin, end))
        self._counts[place] += len(matches)
        if self._seen and matches:
            self._seen(matches)
        return matches[-1].end() if matches else begin


async def watch(process: Process, emit: Callable[[Event], None]) -> None:
    """Watch ``process`` until cancelled, or until it is ended as hung. The silence before the first beat counts too."""
    child, pulse, limit_s = process.child, process.pulse, process.child.heartbeat.timeout_s
    if pulse is None:
        return
    known = written = 0
    silent_s, written_s, now = 0.0, float("-inf"), time.monotonic()
    while limit_s is None or silent_s <= limit_s or process.told_to_stop:
        await asyncio.sleep(_POLL_S)
        before, now = now, time.monotonic()
        # While we were stopped ourselves, or starved of CPU, silence proves nothing.
        silent_s += min(now - before, 2 * _POLL_S)
        if (beats := pulse.beats()) > known:
            known, silent_s = beats, 0.0
        if known > written and now - written_s >= _EMIT_S:
            written, written_s = known, now
            emit(Heartbeat(child=child.name, count=known, phase=child.phase))
    _log.warning("%s has shown no progress for %g s; ending it", child.name, limit_s)
    process.hung = True
    process.kill()


def _ended(line: bytes) -> int:
    """The length of what has ended: progress bars end a line by going back to its beginning."""
    return max(line.rfind(b"\n"), line.rfind(b"\r")) + 1


def _comes_more(pipe: IO[bytes]) -> bool:
    """Whether more is written within a moment: lines that come so close came at once."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(_AT_ONCE_MS))


def _write_all(target: int, block: bytes) -> bool:
    view = memoryview(block)
    while view:
        try:
            view = view[os.write(target, view) :]
        except OSError:
            return False
    return True
