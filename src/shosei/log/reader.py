"""The reader: segments to events by kind. It survives torn lines and kinds it does not know, and says so."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sys
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shosei.errors import InputError
from shosei.log.events import EVENTS, SCHEMA_VERSION, Event

E = TypeVar("E", bound=Event)

_ANY_KIND: Any = reduce(or_, EVENTS.values())
_SHARED = ("run", "host", "boot", "phase")
_decode = msgspec.json.Decoder(_ANY_KIND).decode


class _Header(msgspec.Struct):
    """The envelope fields that are needed before, or instead of, the whole event."""

    kind: str
    v: int
    attempt: int


_decode_header = msgspec.json.Decoder(_Header).decode


@dataclass(slots=True)
class Log:
    """One attempt's events, each kind in order of time: the monotonic clock, and boots by their first wall clock."""

    attempt: int
    events: dict[type[Event], list[Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    digest: str = ""  # SHA-256 over the attempt's lines, in reading order

    def of(self, kind: type[E], phase: str = "") -> list[E]:
        """Events of one kind; with ``phase``, those of that phase only."""
        found: list[E] = self.events.get(kind, [])
        return [event for event in found if event.phase == phase] if phase else found


def attempts(folder: Path) -> list[int]:
    """Attempt numbers that have events in a run's ``log/`` folder, ascending."""
    found = set()
    for segment in _segments(folder):
        with segment.open("rb") as lines:
            for line in lines:
                with contextlib.suppress(msgspec.DecodeError):
                    found.add(_decode_header(line).attempt)
    return sorted(found)


def read_log(folder: Path, attempt: int | None = None) -> Log:
    """Read one attempt (the latest unless told otherwise) from a run's ``log/`` folder.

    Raises InputError: no log there, or no such attempt. Bad lines become warnings.
    """
    known = attempts(folder)
    if not known:
        raise InputError(f"{folder} holds no events; a run folder has log/*.jsonl, written by any shosei verb")
    if attempt is None:
        attempt = known[-1]
    elif attempt not in known:
        raise InputError(f"attempt {attempt} is not in {folder}; it has {', '.join(map(str, known))}")
    log = Log(attempt)
    digest = hashlib.sha256()
    for segment in _segments(folder):
        with segment.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                _read_line(log, line, segment.name, number, digest=digest)
    log.digest = digest.hexdigest()
    _sort(log)
    return log


def _sort(log: Log) -> None:
    first: dict[str, int] = {}
    for event in itertools.chain.from_iterable(log.events.values()):
        first[event.boot] = min(event.wall_ns, first.get(event.boot, event.wall_ns))
    for events in log.events.values():
        events.sort(key=lambda event: (first[event.boot], event.mono_ns, event.pid, event.seq))


def _read_line(log: Log, line: bytes, segment: str, number: int, *, digest: Any) -> None:
    is_torn, line = not line.endswith(b"\n"), line.rstrip(b"\n")
    if not line:
        return
    where = f"{segment}:{number}"
    try:
        header = _decode_header(line)
    except msgspec.DecodeError:
        log.warnings.append(f"{where}: {'torn last line' if is_torn else 'unreadable line'}, left out")
        return
    if header.attempt != log.attempt:
        return
    if header.v > SCHEMA_VERSION or header.kind not in EVENTS:
        log.warnings.append(f"{where}: '{header.kind}' version {header.v} is not known to this version, left out")
        return
    try:
        event = _decode(line)
    except msgspec.DecodeError as error:
        log.warnings.append(f"{where}: not a valid '{header.kind}' event ({error}), left out")
        return
    digest.update(line)
    for name in _SHARED:  # the same text in every event: one copy of it, not a million
        setattr(event, name, sys.intern(getattr(event, name)))
    log.events.setdefault(type(event), []).append(event)


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))
