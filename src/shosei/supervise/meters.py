"""A process tree's counters, read from outside (Linux; elsewhere every field is None)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from shosei.log import Sample
from shosei.proc import numbers
from shosei.supervise.cgroup import Cgroup
from shosei.supervise.process import Process

_PSS_SHARE = 0.005  # of a core may go into PSS, whose reading walks every page table
# A new height of RSS by so much is worth a reading at any time: from 10 MB to 100 GB there are 190 such heights.
_PSS_GROWTH = 1.05
_IO = {
    "read_bytes": "read_bytes",
    "write_bytes": "write_bytes",
    "cancelled_write_bytes": "cancelled_write_bytes",
    "rchar": "read_chars",
    "wchar": "write_chars",
}


class TreeMeter:
    """Reads one child's tree. Its counters never fall, neither when a member goes nor when the child is restarted."""

    def __init__(self, name: str, phase: str) -> None:
        self._name, self._phase = name, phase
        # By the name of the sample's field: totals of earlier starts, and of all.
        self._base: dict[str, Any] = {}
        self._totals: dict[str, Any] = {}
        self._next_pss_ns = 0
        self._height = 0  # the highest RSS at which PSS was read
        self.pids: list[int] = []  # the tree's, when it was last read

    def restarted(self, spare: TreeMeter | None = None) -> None:
        """From here on, another start of the child is read; if it was the spare, less what was counted of that."""
        counted = {name: value - spare._base.get(name, 0) for name, value in spare._totals.items()} if spare else {}
        self._base = {name: value - counted.get(name, 0) for name, value in self._totals.items()}

    def read(self, process: Process) -> list[Sample]:
        """The tree's counters now and, where it has a control group, the kernel's own of its memory.

        A process's counters pass to its parent when that waits for it, so the living tree's sum holds them all. The
        scan is not one instant: a process that passes on during it is seen twice or not at all, which the maximum
        over time evens out. The control group's CPU time has neither fault.
        """
        members = process.tree.read()
        self.pids = list(members)
        living = _sum({"cpu_ns": stat.cpu_ns, **_io(pid)} for pid, stat in members.items())
        if process.cgroup and (cpu_ns := process.cgroup.cpu_ns()) is not None:
            living["cpu_ns"] = cpu_ns
        self._totals = self._totals | {
            name: max(self._totals.get(name, 0), self._base.get(name, 0) + value) for name, value in living.items()
        }
        memory = [fields for pid in members if "VmRSS" in (fields := numbers(f"/proc/{pid}/status"))]  # no zombies
        sizes = _sum(memory)
        tree = Sample(
            scope="tree",
            name=self._name,
            phase=self._phase,
            processes=len(memory) if members else None,
            rss_bytes=sizes.get("VmRSS"),
            pss_bytes=self._pss(members, sizes.get("VmRSS", 0)),
            peak_bytes=sizes.get("VmHWM"),
            **self._totals,
        )
        return [tree, *self._group(process.cgroup)]

    def _group(self, cgroup: Cgroup | None) -> list[Sample]:
        if not cgroup or (current := cgroup.memory_bytes()) is None:
            return []
        peak = cgroup.peak_bytes()
        return [Sample(scope="cgroup", name=self._name, phase=self._phase, used_bytes=current, peak_bytes=peak)]

    def _pss(self, members: Iterable[int], rss: int) -> int | None:
        """None unless the last reading is paid for, or memory has grown: a short run is read near its height."""
        if time.monotonic_ns() < self._next_pss_ns and rss <= self._height * _PSS_GROWTH:
            return None
        self._height = max(self._height, rss)
        begin = time.thread_time_ns()
        pss = _sum(numbers(f"/proc/{pid}/smaps_rollup") for pid in members).get("Pss")
        self._next_pss_ns = time.monotonic_ns() + int((time.thread_time_ns() - begin) / _PSS_SHARE)
        return pss


def _sum(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total = Counter[str]()
    for part in parts:
        total.update(part)
    return total


def _io(pid: int) -> dict[str, int]:
    return {_IO[name]: value for name, value in numbers(f"/proc/{pid}/io").items() if name in _IO}
