"""Who is writing: host, boot, process."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import psutil

from shosei.proc import read, stat


@dataclass(frozen=True, slots=True)
class Identity:
    host: str
    boot: str
    pid: int
    start_ticks: int


def identity() -> Identity:
    """The calling process. Off Linux, the boot time stands in for the boot id and the start time for the ticks."""
    host = socket.gethostname().replace("/", "_") or "localhost"
    boot = read("/proc/sys/kernel/random/boot_id").decode().strip() or str(int(psutil.boot_time()))
    return Identity(host, boot, os.getpid(), _start_ticks(os.getpid()))


def is_running(process: Identity) -> bool:
    """Whether it is a process of this machine that has not ended. What another machine runs cannot be seen."""
    me = identity()
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
