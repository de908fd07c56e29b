"""Forks a confined child for each program, and says what became of it.

On standard input, a socket: a line ``run`` with two file descriptors (the child's talk with the host, and its channel
to the other sandbox), then a line ``stop``, in turn. Out: ``ready``, then a line of JSON for each child: ``cause`` of
its end (``ended`` by itself, ``stop``, or the ``cpu`` limit), ``signal``, ``cpu_ns``. Programs never pass through this
process, so that none of them can find another one's text in the memory that it inherits.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import time
from typing import Any

from . import programs
from .confinement import confine, prepare
from .packages import allow

# Loaded once, so that the programs which import them do not wait.
_COMMON = (
    "bisect",
    "collections",
    "copy",
    "datetime",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "operator",
    "re",
    "statistics",
    "string",
    "typing",
)

_CPUCLOCK_SCHED = 2  # clock_getcpuclockid(3), of another process: its threads' time on the processors
_CORES = os.cpu_count() or 1
_SHORTEST_S = 0.005


class _Control:
    """Lines from the host, and the file descriptors that came with them."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=0)
        self._data = b""
        self._fds: list[int] = []

    def line(self) -> bytes:
        """The next line; empty when the host has gone."""
        while b"\n" not in self._data:
            data, fds, _, _ = socket.recv_fds(self._socket, 1 << 12, 2)
            self._fds += fds
            if not data:
                return b""
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        return line

    def descriptors(self) -> list[int]:
        fds, self._fds = self._fds, []
        return fds

    def wait(self, pidfd: int, seconds: float) -> str:
        """What happened first within the time: ``stop``, ``ended``, or "" for nothing."""
        if self._data:
            return "stop"
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        ready = dict(poll.poll(seconds * 1000))
        return "ended" if pidfd in ready else "stop" if ready else ""

    def send(self, line: bytes) -> None:
        self._socket.sendall(line + b"\n")


def main(settings: dict[str, Any]) -> None:
    """Serve until the host has gone. ``settings``: those of ``confine`` and ``allow``, and the ``folder`` to leave no
    trace of.
    """
    try:
        _serve(settings)
    finally:
        if settings["folder"]:
            shutil.rmtree(settings["folder"], ignore_errors=True)


def _serve(settings: dict[str, Any]) -> None:
    if settings["namespaces"]:
        prepare()
    allow(settings["modules"], settings["named"])
    _warm_up()
    control = _Control()
    control.send(b"ready")
    while control.line():
        fds = control.descriptors()
        pid = os.fork()
        if pid == 0:
            try:
                confine(settings, fds)
                programs.run(*map(_socket, fds))
            finally:
                os._exit(0)
        for fd in fds:
            os.close(fd)
        control.send(json.dumps(_end(control, pid, settings["cpu_s"])).encode())
        if not control.line():  # the stop
            return


def _warm_up() -> None:
    """Do once what every child would do for the first time: a child's first compilation alone takes a millisecond."""
    for name in _COMMON:
        importlib.import_module(name)
    programs.rehearse()
    gc.collect()
    gc.freeze()  # what a child's garbage collection does not touch is not copied


def _socket(fd: int) -> socket.socket:
    return socket.socket(fileno=fd)


def _end(control: _Control, pid: int, cpu_s: float) -> dict[str, Any]:
    """Wait for the end of a child, and see to it where the host or the limit on processor time wants it.

    The kernel's own limit counts in ticks, which depend on what else runs; its clock of a process does not.
    """
    pidfd = os.pidfd_open(pid)
    cause = ""
    while not cause:
        left = cpu_s - time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
        cause = control.wait(pidfd, max(left / _CORES, _SHORTEST_S)) if left > 0 else "cpu"
    os.close(pidfd)
    if cause != "ended":
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return {
        "cause": cause,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "cpu_ns": round((usage.ru_utime + usage.ru_stime) * 1e9),
    }
