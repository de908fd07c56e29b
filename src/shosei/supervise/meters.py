"""A process tree's counters, read from outside in ``/proc`` (Linux; elsewhere every field is None)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from shosei.log import Sample

_PROC = Path("/proc")
_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PSS_SHARE = 0.02  # of the time may go into PSS, whose reading walks every page table
_IO = {
    "read_bytes": "read_bytes", "write_bytes": "write_bytes", "cancelled_write_bytes": "cancelled_write_bytes",
    "rchar": "read_chars", "wchar": "write_chars",
}  # fmt: skip


class Stat(NamedTuple):
    """What a scan of ``/proc/PID/stat`` keeps of a process."""

    parent: int
    session: int
    cpu_ns: int  # its own and that of the children it has waited for
    start_ticks: int  # with its id, names a process for good: ids are reused


def scan() -> dict[int, Stat]:
    """Every process of the machine, by id; empty without ``/proc``."""
    found = {}
    for entry in os.listdir(_PROC) if _PROC.is_dir() else []:
        if entry.isdigit() and (text := _read(entry, "stat")):
            # The command name, in parentheses, may hold spaces and parentheses: count the fields after it.
            fields = text.rpartition(")")[2].split()
            cpu_ns = sum(map(int, fields[11:15])) * _NS_PER_TICK
            found[int(entry)] = Stat(int(fields[1]), int(fields[3]), cpu_ns, int(fields[19]))
    return found


class Tree:
    """The processes in ``leader``'s session and all that descend from them.

    One that has opened a session of its own belongs to it even when its parent ends, if a scan saw it before that.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._start_ticks: dict[int, int] = {}  # by process id: the members at the last scan

    def members(self, processes: dict[int, Stat]) -> list[int]:
        """Their ids in a fresh ``scan``, ascending."""
        known = self._start_ticks.items()
        members = {pid for pid, ticks in known if pid in processes and processes[pid].start_ticks == ticks}
        members |= {pid for pid, stat in processes.items() if stat.session == self._leader}
        grew = True
        while grew:
            more = {pid for pid, stat in processes.items() if stat.parent in members} - members
            members |= more
            grew = bool(more)
        self._start_ticks = {pid: processes[pid].start_ticks for pid in members}
        return sorted(members)


class TreeMeter:
    """Reads one child's tree. Its counters never fall, neither when a member goes nor when the child is restarted."""

    def __init__(self, name: str, phase: str) -> None:
        self._name, self._phase = name, phase
        # By the name of the sample's field: totals of earlier starts, and of all.
        self._base: dict[str, Any] = {}
        self._totals: dict[str, Any] = {}
        self._next_pss_ns = 0

    def restarted(self) -> None:
        """From here on, another start of the child is read."""
        self._base = self._totals

    def read(self, tree: Tree, processes: dict[int, Stat]) -> Sample:
        """The counters of ``tree`` now, given a fresh ``scan``.

        A process's counters pass to its parent when that waits for it, so the living tree's sum holds them all. The
        scan is not one instant: a process that passes on during it is seen twice or not at all, which the maximum
        over time evens out.
        """
        members = tree.members(processes)
        living = _sum({"cpu_ns": processes[pid].cpu_ns, **_io(pid)} for pid in members)
        self._totals = self._totals | {
            name: max(self._totals.get(name, 0), self._base.get(name, 0) + value) for name, value in living.items()
        }
        memory = [fields for pid in members if "VmRSS" in (fields := _fields(pid, "status"))]  # zombies have none
        sizes = _sum(memory)
        return Sample(
            scope="tree", name=self._name, phase=self._phase, processes=len(memory) if members else None,
            rss_bytes=sizes.get("VmRSS"), pss_bytes=self._pss(members), peak_bytes=sizes.get("VmHWM"), **self._totals,
        )  # fmt: skip

    def _pss(self, members: list[int]) -> int | None:
        begin = time.monotonic_ns()
        if begin < self._next_pss_ns:
            return None
        pss = _sum(_fields(pid, "smaps_rollup") for pid in members).get("Pss")
        self._next_pss_ns = begin + int((time.monotonic_ns() - begin) / _PSS_SHARE)
        return pss


def _sum(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def _io(pid: int) -> dict[str, int]:
    return {_IO[name]: value for name, value in _fields(pid, "io").items() if name in _IO}


def _fields(pid: int, file: str) -> dict[str, int]:
    """``Name: number [kB]`` lines of a file under ``/proc/PID``, sizes in bytes; empty if it is gone or not ours."""
    fields = {}
    for line in _read(str(pid), file).splitlines():
        name, _, rest = line.partition(":")
        value, _, unit = rest.strip().partition(" ")
        if value.isdigit():
            fields[name] = int(value) * (1024 if unit == "kB" else 1)
    return fields


def _read(pid: str, file: str) -> str:
    try:
        return (_PROC / pid / file).read_text(errors="replace")
    except OSError:
        return ""
