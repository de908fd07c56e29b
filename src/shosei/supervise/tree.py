"""Which processes belong to a command: those in its control group, or else in its session and all that descend."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from shosei.proc import Stat, read, scan, stats
from shosei.supervise.cgroup import Cgroup

MARK_VARIABLE = "SHOSEI_SUPERVISED"

_SCAN_SHARE = 0.002  # of a core may go into looking through all processes of the machine for new members
_EMPTY_S = 2.0  # for the kernel to end processes that are killed


def is_marked(pid: int, mark: str) -> bool:
    """Whether a process was started with ``mark``, or with one that begins with it, in its environment."""
    return b"\0" + f"{MARK_VARIABLE}={mark}".encode() in b"\0" + read(f"/proc/{pid}/environ")


class Tree:
    """The processes of the command ``leader``.

    In a control group none is missed. Without one, all processes of the machine are looked through, as often as is
    cheap; one that has opened a session of its own then belongs to the tree if it was seen before its parent ended,
    or if the supervisor has adopted it and finds its ``mark`` in it.
    """

    def __init__(self, leader: int, mark: str, cgroup: Cgroup | None) -> None:
        self._leader, self._mark, self._cgroup = leader, mark, cgroup
        self._known: dict[int, int] = {}  # start ticks by process id
        self._next_scan_ns = 0

    def read(self) -> dict[int, Stat]:
        """Its known processes now, by id; zombies too where they still have counters of their own."""
        if self._cgroup:
            return stats(sorted({self._leader, *self._cgroup.pids()}))
        if time.monotonic_ns() < self._next_scan_ns:
            return self._still_known(stats(self._known))
        begin = time.thread_time_ns()
        members = self._look_for_members()
        self._next_scan_ns = time.monotonic_ns() + int((time.thread_time_ns() - begin) / _SCAN_SHARE)
        return members

    def _look_for_members(self) -> dict[int, Stat]:
        processes = scan()
        members = set(self._still_known(processes))
        members |= {pid for pid, stat in processes.items() if stat.session == self._leader}
        adopted = {pid for pid, stat in processes.items() if stat.parent == os.getpid()} - members
        members |= {pid for pid in adopted if is_marked(pid, self._mark)}
        grew = True
        while grew:
            more = {pid for pid, stat in processes.items() if stat.parent in members} - members
            members |= more
            grew = bool(more)
        self._known = {pid: processes[pid].start_ticks for pid in sorted(members)}
        return {pid: processes[pid] for pid in self._known}

    def _still_known(self, processes: dict[int, Stat]) -> dict[int, Stat]:
        return {pid: stat for pid, stat in processes.items() if self._known.get(pid) == stat.start_ticks}

    def signal(self, signum: int) -> None:
        """Send a signal to each of its processes."""
        self._next_scan_ns = 0
        for pid, stat in self.read().items():
            if not stat.is_zombie:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signum)

    def kill(self) -> None:
        """End all of its processes; the ended stay until their parents collect them."""
        if self._cgroup:
            self._cgroup.kill()
            return
        deadline = time.monotonic() + _EMPTY_S
        while any(not stat.is_zombie for stat in self._look_for_members().values()) and time.monotonic() < deadline:
            self.signal(signal.SIGKILL)
            time.sleep(0.001)
