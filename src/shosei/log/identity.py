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
        # The command name, in parentheses, may hold spaces: count the fields after it.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        boot, ticks = str(int(psutil.boot_time())), int(psutil.Process().create_time() * 100)
    return Identity(host, boot, os.getpid(), ticks)
