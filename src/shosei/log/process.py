"""Which process is writing: its host, boot, id and start."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

import psutil

from shosei.proc import read, stat


class ProcessKey(NamedTuple):
    """Names a process for good: a container that is restarted gives its processes the same ids."""

    host: str
    boot: str
    pid: int
    start_ticks: int


def this_process() -> ProcessKey:
    """The calling process. Off Linux, the boot time stands in for the boot id and the start time for the ticks."""
    host = socket.gethostname().replace("/", "_") or "localhost"
    boot = read("/proc/sys/kernel/random/boot_id").decode().strip() or str(int(psutil.boot_time()))
    return ProcessKey(host, boot, os.getpid(), _start_ticks(os.getpid()))


def is_running(process: ProcessKey) -> bool:
    """Whether it is a process of this machine that has not ended. What another machine runs cannot be seen."""
    me = this_process()
    if (process.host, process.boot) != (me.host, me.boot):
        return False
    try:
        ended = psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
        return not ended and _start_ticks(process.pid) == process.start_ticks
    except psutil.NoSuchProcess:
        return False


def _start_ticks(pid: int) -> int:
    process = stat(pid)
    return process.start_ticks if process else int(psutil.Process(pid).create_time() * 100)
