"""The writer: one segment a process, appended to. Nobody rewrites it but to remove texts (``log/removal.py``)."""

from __future__ import annotations

import atexit
import fcntl
import os
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from shosei.log.event import SCHEMA_VERSION, Event
from shosei.log.events import CRITICAL, Request
from shosei.log.ledger import SLOT_BYTES, Ledger
from shosei.log.process import this_process

_FLUSH_S = 0.5
_REMOVED = (0, 0)  # an inode of no file: a segment that was removed is written on


class Writer:
    """Appends events to ``log/{host}-{boot}-{pid}-{start_ticks}.jsonl``. Thread-safe; ``emit`` costs microseconds.

    A full disk never stops the work that is being measured: what could not be written is counted in ``dropped``.
    """

    def __init__(self, folder: Path, run: str, attempt: int, phase: str = "", rank: int = 0) -> None:
        me = this_process()
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{me.host}-{me.boot}-{me.pid}-{me.start_ticks}.jsonl"
        self.run, self.attempt, self.phase, self.rank = run, attempt, phase, rank
        self.dropped = 0
        self._process = me
        self._encode = msgspec.json.Encoder().encode
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._seq = 0
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._place, ours = str(self.path), os.fstat(self._file)
        self._inode = ours.st_dev, ours.st_ino
        self._torn = _ends_within_a_line(self._file)
        self._ledger: Ledger | None = None
        self._wake = threading.Event()
        threading.Thread(target=self._flush_regularly, name="log-flush", daemon=True).start()
        atexit.register(self.close)

    def begin(self, request: Request) -> None:
        """Put a request on record as lost, which it is if this process is killed before it is emitted."""
        lost = msgspec.structs.replace(request, error="lost", first_try_error="lost")
        self._fill(lost)
        with self._lock:
            lost.seq = self._seq
            line = self._encode(lost)
            if len(line) >= SLOT_BYTES:  # what clients may choose, at any length
                line = self._encode(msgspec.structs.replace(lost, run="", task="", agent=""))
            if self._file < 0:
                return
            try:
                self._ledger = self._ledger or Ledger(self.path)
                self._ledger.begin(request.id, line)
            except OSError as error:
                self._lose(error, 1)

    def emit(self, event: Event) -> None:
        """Fill the envelope and append the event. The caller gives it up: it must not be changed or emitted again."""
        self._append(event)
        if type(event) in CRITICAL:
            self.flush(sync=True)
        elif self._ledger and type(event) is Request:
            self.flush()  # a process that is killed from here on has told how the request ended
            self._end(event.span or event.id)  # the name under which it began

    def relay(self, event: Event) -> None:
        """Append an event of another process, in its name: the envelope is kept."""
        with self._lock:
            self._lines.append(self._encode(event))
        self.flush(sync=True)

    def record(self, events: Iterable[Event]) -> bool:
        """Append the events together and wait for the disk; return whether it has all of them."""
        dropped = self.dropped
        for event in events:
            self._append(event)
        self.flush(sync=True)
        return self.dropped == dropped and self._file >= 0

    def flush(self, sync: bool = False) -> None:
        """Write what is buffered; with ``sync``, wait until the disk has it."""
        with self._lock:
            if self._lines and self._file >= 0:
                lines, self._lines = self._lines, []
                data = b"\n".join([*lines, b""])
                # After a part of a line was written, a newline first: only that line is lost.
                data = b"\n" + data if self._torn else data
                try:
                    self._hold()
                    self._torn = self._write(data, len(lines))
                    fcntl.flock(self._file, fcntl.LOCK_UN)
                except OSError as error:
                    self._lose(error, len(lines))
            if sync and self._file >= 0:
                try:
                    os.fsync(self._file)
                except OSError as error:
                    self._lose(error, 1)

    def close(self) -> None:
        """Flush, fsync and close. Emitting afterwards is lost; closing twice is fine."""
        self._wake.set()
        self.flush(sync=True)
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
                if self._ledger:
                    self._ledger.close()
                    self._ledger = None
        atexit.unregister(self.close)

    def _end(self, request: str) -> None:
        with self._lock:
            if self._ledger:
                try:
                    self._ledger.end(request)
                except OSError as error:
                    self._lose(error, 1)

    def _append(self, event: Event) -> None:
        self._fill(event)
        with self._lock:
            event.seq = self._seq
            self._seq += 1
            self._lines.append(self._encode(event))

    def _fill(self, event: Event) -> None:
        me = self._process
        event.v = SCHEMA_VERSION
        event.run, event.attempt = self.run, self.attempt
        event.host, event.boot, event.pid, event.start_ticks = me.host, me.boot, me.pid, me.start_ticks
        event.mono_ns, event.wall_ns = time.monotonic_ns(), time.time_ns()
        event.phase, event.rank = event.phase or self.phase, event.rank or self.rank

    def _hold(self) -> None:
        """Keep the segment from being replaced; where it has been, go on in the one that stands in its place."""
        fcntl.flock(self._file, fcntl.LOCK_SH)
        while (there := _inode(self._place)) not in (self._inode, _REMOVED):
            other = os.open(self._place, os.O_RDWR | os.O_APPEND)
            os.dup2(other, self._file, inheritable=False)
            os.close(other)
            self._inode = there
            fcntl.flock(self._file, fcntl.LOCK_SH)

    def _write(self, data: bytes, lines: int) -> bool:
        """Write all of ``data``; return whether the segment may now end within a line."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._file, view) :]
            except OSError as error:
                self._lose(error, lines)
                return True
        return False

    def _lose(self, error: OSError, lines: int) -> None:
        if not self.dropped:
            print(f"shosei: cannot write {self.path}: {error}; events are being lost", file=sys.stderr)
        self.dropped += lines

    def _flush_regularly(self) -> None:
        while not self._wake.wait(_FLUSH_S):
            self.flush()


def _ends_within_a_line(file: int) -> bool:
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def _inode(path: str) -> tuple[int, int]:
    """What tells a file from the one that stood there before."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return _REMOVED
    return there.st_dev, there.st_ino
