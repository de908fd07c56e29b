"""The reader: segments to events by kind. It survives torn lines and kinds it does not know, and says so."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sys
from collections import Counter, defaultdict
from functools import reduce
from operator import attrgetter, or_
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shosei.errors import InputError
from shosei.log.columns import FIELDS, Builder, Columns
from shosei.log.event import SCHEMA_VERSION, Event, Int64
from shosei.log.events import EVENTS, RunBegin
from shosei.log.ledger import abandoned
from shosei.log.log import Log
from shosei.log.segments import Lines, blocks, line_ends, no_segments, segments
from shosei.progress import BYTES, Progress, progress
from shosei.text_files import BYTE_ORDER_MARK, UNREADABLE

_ANY_KIND: Any = reduce(or_, EVENTS.values())
_BEGIN = str(RunBegin.__struct_config__.tag)
_LISTED = 10  # unreadable lines of one segment that have a warning each; the rest are counted
_SHARED = ("run", "host", "boot", "phase")
_decoder = msgspec.json.Decoder(_ANY_KIND)
_encoder = msgspec.json.Encoder()
_attempt_and_version = attrgetter("attempt", "v")


class _Header(msgspec.Struct):
    """The envelope fields that are needed before, or instead of, the whole event."""

    kind: str
    v: Int64
    attempt: Int64


_decode_header = msgspec.json.Decoder(_Header).decode


def attempts(folder: Path) -> list[int]:
    """Attempt numbers in a run's ``log/`` folder, ascending. Those that events name and nobody began are none."""
    return _attempts(folder)[0]


def _attempts(folder: Path, work: Progress | None = None) -> tuple[list[int], list[int]]:
    """The attempts, and numbers that are none: they have no begin, which may be lost, and follow on no attempt."""
    numbers, begun = set(), set()
    for segment in segments(folder):
        with segment.open("rb") as lines:
            for line in lines:
                with contextlib.suppress(*UNREADABLE):
                    header = _decode_header(line.removeprefix(BYTE_ORDER_MARK))
                    numbers.add(header.attempt)
                    if header.kind == _BEGIN:
                        begun.add(header.attempt)
        if work:
            work.advance(segment.stat().st_size)
    known: list[int] = []
    for number in sorted(numbers):
        if number in begun or not known or number - 1 == known[-1]:
            known.append(number)
    return known, sorted(numbers.difference(known))


def read_log(folder: Path, attempt: int | None = None) -> Log:
    """Read one attempt (the latest unless told otherwise) from a run's ``log/`` folder.

    Raises InputError: no log there, or no such attempt. Bad lines become warnings.
    """
    size = sum(path.stat().st_size for path in segments(folder))
    with progress("reading the log", 2 * size, BYTES) as work:  # it is read twice
        return _read_log(folder, attempt, work)


def _read_log(folder: Path, attempt: int | None, work: Progress) -> Log:
    known, strays = _attempts(folder, work)
    if not known:
        raise InputError(f"{folder} holds no events; a run folder has log/*.jsonl, written by any shosei verb")
    if attempt is None:
        attempt = known[-1]
    elif attempt not in known:
        raise InputError(f"attempt {attempt} is not in {folder}; it has {', '.join(map(str, known))}")
    log = _Reader(attempt, [*segments(folder), *abandoned(folder)]).read(work)
    log.warnings += [f"lines of an attempt {number}, which nobody began, are left out" for number in strays]
    log.warnings += [f"{path.name} is no file, left out" for path in no_segments(folder)]
    return log


class _Reader:
    """Reads segments into a log: whole blocks where every line is an event of the attempt, line by line elsewhere."""

    def __init__(self, attempt: int, files: list[Path]) -> None:
        self._log, self._files = Log(attempt), files
        self._digest = hashlib.sha256()
        self._builders = {kind: Builder(kind) for kind in FIELDS}
        self._objects: defaultdict[type[Event], list[Any]] = defaultdict(list)
        self._as_written = True
        self._bad = Counter[int]()  # lines that cannot be read, by their segment's place

    def read(self, work: Progress) -> Log:
        """The log, in order of time; ``work`` counts the bytes read."""
        for place, path in enumerate(self._files):
            begin, number = 0, 1
            with path.open("rb") as file:
                for block in work.over(blocks(file), len):
                    ends = line_ends(block)
                    if not self._take(block, place, begin, ends):
                        self._take_lines(block, place, begin, ends, number)
                    begin, number = begin + len(block), number + len(ends)
            if (more := self._bad[place] - _LISTED) > 0:
                self._log.warnings.append(f"{path.name}: {more} more such lines, left out")
        self._log.digest = self._digest.hexdigest()
        self._sort()
        return self._log

    def _take(self, block: bytes, place: int, begin: int, ends: np.ndarray) -> bool:
        """Take a block, if every line of it is an event of the attempt."""
        try:
            events = _decoder.decode_lines(block)
        except UNREADABLE:
            return False
        if len(events) != len(ends) or any(
            attempt != self._log.attempt or version > SCHEMA_VERSION
            for attempt, version in set(map(_attempt_and_version, events))
        ):
            return False
        sizes = np.diff(ends, prepend=0)
        self._add(events, place, begin + ends, sizes)
        self._as_written &= _encoder.encode_lines(events) == block
        self._digest.update(block.replace(b"\n", b""))
        return True

    def _take_lines(self, block: bytes, place: int, begin: int, ends: np.ndarray, number: int) -> None:
        """Take what is an event of the attempt; what cannot be read is a warning."""
        self._as_written = False
        mark = len(BYTE_ORDER_MARK) if begin == 0 and block.startswith(BYTE_ORDER_MARK) else 0  # an editor's
        for since, until in itertools.pairwise([mark, *ends.tolist()]):
            try:
                if event := self._event(block[since:until]):
                    self._add([event], place, np.array([begin + until]), np.array([until - since]))
                    self._digest.update(block[since:until].rstrip(b"\n"))
            except ValueError as error:
                self._bad[place] += 1
                if self._bad[place] <= _LISTED:
                    self._log.warnings.append(f"{self._files[place].name}:{number}: {error}, left out")
            number += 1

    def _event(self, line: bytes) -> Event | None:
        """The event of a line, if it is of this attempt. Raises ValueError for one that cannot be read."""
        is_torn, line = not line.endswith(b"\n"), line.rstrip()
        if not line:
            return None
        try:
            header = _decode_header(line)
        except UNREADABLE:
            raise ValueError("torn last line" if is_torn else "unreadable line") from None
        if header.attempt != self._log.attempt:
            return None
        if header.v > SCHEMA_VERSION or header.kind not in EVENTS:
            raise ValueError(f"'{header.kind}' version {header.v} is not known to this version")
        try:
            event: Event = _decoder.decode(line)
        except UNREADABLE as error:
            raise ValueError(f"not a valid '{header.kind}' event ({error})") from None
        return event

    def _add(self, events: list[Event], place: int, ends: np.ndarray, sizes: np.ndarray) -> None:
        """Add events, and where they lie."""
        rows: defaultdict[type[Event], list[int]] = defaultdict(list)
        for row, event in enumerate(events):
            rows[type(event)].append(row)
        arrays = {
            kind: builder.arrays_of([events[row] for row in rows[kind]])
            for kind, builder in self._builders.items()
            if kind in rows
        }
        for kind, chosen in rows.items():
            if kind in arrays:
                file = np.full(len(chosen), place, np.int32)
                where = {"file": file, "end": ends[chosen], "size": sizes[chosen].astype(np.int32)}
                self._builders[kind].add(arrays[kind] | where)
            else:
                self._objects[kind] += [_with_shared_texts(events[row]) for row in chosen]

    def _sort(self) -> None:
        first: dict[str, int] = {}
        for event in itertools.chain.from_iterable(self._objects.values()):
            first[event.boot] = min(event.wall_ns, first.get(event.boot, event.wall_ns))
        builders = {kind: builder for kind, builder in self._builders.items() if builder}
        for builder in builders.values():
            for boot, wall_ns in builder.first_wall_ns().items():
                first[boot] = min(wall_ns, first.get(boot, wall_ns))
        for kind, events in self._objects.items():
            events.sort(key=lambda event: (first[event.boot], event.mono_ns, event.pid, event.seq))
            self._log.events[kind] = events
        for kind, builder in builders.items():
            arrays = builder.arrays(builder.order(first))
            lines = Lines(kind, self._files, arrays, self._as_written)
            self._log.events[kind] = Columns(arrays, builder.names, lines)


def _with_shared_texts(event: Event) -> Event:
    """The same text in every event: one copy of it, not a million."""
    for name in _SHARED:
        setattr(event, name, sys.intern(getattr(event, name)))
    return event
