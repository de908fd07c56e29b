"""Who is writing: host, boot, process."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Identity:
    host: str
    boot: str
    pid: int
    start_ticks: int


def identity() -> Identity:
    """The calling process. Off Linux, the boot time stands in for the boot id and the start time for the ticks."""
    host = socket.gethostname().replace("/", "_") or "localhost"
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = str(int(psutil.boot_time()))
    return Identity(host, boot, os.getpid(), _start_ticks(os.getpid()))


def lives(pid: int, start_ticks: int) -> bool:
    """Whether the process with this identity runs on this machine, or waits to be collected."""
    try:
        return _start_ticks(pid) == start_ticks
    except psutil.NoSuchProcess:
        return False


def _start_ticks(pid: int) -> int:
    try:
        # The command name, in parentheses, may hold spaces: count the fields after it.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return int(psutil.Process(pid).create_time() * 100)
