"""What became of the children of a supervisor that was killed itself: found in the log, and in the processes left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from shosei.log import ProcExit, ProcStart
from shosei.log.process import ProcessKey, is_running, this_process
from shosei.log.segments import segments
from shosei.proc import read
from shosei.supervise.tree import is_marked
from shosei.text_files import UNREADABLE

_DYING_S = 1.0  # for what ends with its supervisor to be gone


class _Moment(msgspec.Struct):
    """When which process wrote a line."""

    boot: str = ""
    pid: int = 0
    mono_ns: int = 0
    wall_ns: int = 0
    seq: int = 0


_decode = msgspec.json.Decoder(ProcStart | ProcExit).decode
_decode_moment = msgspec.json.Decoder(_Moment).decode


@dataclass
class Lost:
    """A supervisor that did not live to write down its children's ends."""

    attempt: int
    pid: int
    ends: list[ProcExit] = field(default_factory=list)  # complete, envelope included
    survivors: list[str] = field(default_factory=list)  # process ids and commands

    def __str__(self) -> str:
        children = ", ".join(sorted({end.child for end in self.ends})) or "nothing"
        text = f"the supervisor of attempt {self.attempt} (process {self.pid}) was killed, and with it ended {children}"
        return f"{text}; still running: {', '.join(self.survivors)}" if self.survivors else text


def find_lost(folder: Path) -> list[Lost]:
    """The lost supervisors of this host in a run's ``log/`` folder, of whose children's ends the log does not yet hold.

    An end is dated with its supervisor's last sign of life: nothing later is known.
    """
    me = this_process()
    written = {path: list(_starts_and_ends(path)) for path in segments(folder) if path.name.startswith(f"{me.host}-")}
    ended = {_key(event) for events in written.values() for event in events if isinstance(event, ProcExit)}
    lost = []
    for path, events in written.items():
        unended = [event for event in events if isinstance(event, ProcStart) and _key(event) not in ended]
        if unended and not is_running(unended[0].process):
            lost.append(_lost(path, unended, rebooted=unended[0].boot != me.boot))
    return lost


def _lost(segment: Path, starts: list[ProcStart], *, rebooted: bool) -> Lost:
    supervisor = starts[0]
    last = _last_moment(segment, supervisor)
    survivors = {} if rebooted else _survivors(f"{supervisor.pid}-{supervisor.start_ticks}-")
    ends = [
        ProcExit(
            v=start.v,
            run=start.run,
            attempt=start.attempt,
            host=start.host,
            boot=start.boot,
            pid=start.pid,
            start_ticks=start.start_ticks,
            seq=last.seq + 1,
            phase=start.phase,
            mono_ns=last.mono_ns,
            wall_ns=last.wall_ns,
            child=start.child,
            child_pid=start.child_pid,
            start=start.start,
            planned=False,
            cause="unknown" if rebooted else "signal",
            duration_ns=last.mono_ns - start.mono_ns,
            signal=None if rebooted else signal.SIGKILL,
        )
        for start in starts
        if start.child_pid not in survivors
    ]
    return Lost(supervisor.attempt, supervisor.pid, ends, [f"{pid} ({command})" for pid, command in survivors.items()])


def _starts_and_ends(segment: Path) -> Iterator[ProcStart | ProcExit]:
    for line in segment.read_bytes().split(b"\n"):
        if b'"proc.' in line:
            try:
                yield _decode(line)
            except UNREADABLE:  # torn, or another kind of event that has these words in it
                continue


def _last_moment(segment: Path, supervisor: ProcStart) -> _Moment:
    """The last line that the writer of ``supervisor`` wrote in its own name."""
    for line in reversed(segment.read_bytes().split(b"\n")):
        try:
            moment = _decode_moment(line)
        except UNREADABLE:
            continue
        if (moment.boot, moment.pid) == (supervisor.boot, supervisor.pid):
            return moment
    raise AssertionError("it has written its start")


def _survivors(mark: str) -> dict[int, str]:
    """Processes of this machine that carry the mark, with their commands. Those of other users do not show it."""
    deadline = time.monotonic() + _DYING_S
    while True:
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()] if os.path.isdir("/proc") else []
        found = {pid: _command(pid) for pid in sorted(pids) if is_marked(pid, mark)}
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(_DYING_S / 10)


def _command(pid: int) -> str:
    return read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def _key(event: ProcStart | ProcExit) -> tuple[ProcessKey, str, int]:
    return event.process, event.child, event.start
