"""Faults on purpose: a command is killed, stopped or starved of memory at a known time."""

from __future__ import annotations

import asyncio
import logging
import re
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from shosei.errors import InputError
from shosei.log import Fault
from shosei.proc import numbers
from shosei.supervise.process import Process

_SYNTAX = re.compile(r"(kill|hang|oom)@(\d+(?:\.\d*)?)")
_POLL_S = 0.05
_STARVED_S = 5.0  # in which a working process asks for memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Injection:
    """What to do to a command, ``at_s`` seconds after its supervision began."""

    kind: str  # kill | hang | oom
    at_s: float

    def __str__(self) -> str:
        return f"{self.kind}@{self.at_s:g}"

    @classmethod
    def parse(cls, text: str) -> Injection:
        """From ``kind@seconds``. Raises InputError."""
        found = _SYNTAX.fullmatch(text)
        if not found:
            raise InputError(f"--inject {text}: write kill@T, hang@T or oom@T, T in seconds, such as kill@30")
        return cls(found[1], float(found[2]))


async def inject(injection: Injection, running: Callable[[], Process | None]) -> None:
    """Wait for the time of ``injection``, counted from now, and for something to run; then do it.

    The fault is left with the process, which it lasts as long as. Its name says how memory was withheld.
    """
    await asyncio.sleep(injection.at_s)
    while (process := running()) is None:
        await asyncio.sleep(_POLL_S)
    child = process.child
    _log.warning("injecting %s into %s", injection, child.name)
    fault = Fault(name=str(injection), begin_ns=time.monotonic_ns(), child=child.name, phase=child.phase)
    process.faults.append(fault)
    match injection.kind:
        case "kill":
            process.signal_group(signal.SIGKILL)
        case "hang":
            process.tree.signal(signal.SIGSTOP)
        case _:
            way = _starve(process)
            fault.name = f"{injection} ({way})"
            await asyncio.sleep(_STARVED_S)
            if running() is process:
                fault.name = f"{injection} ({way}, then killed)"
                process.signal_group(signal.SIGKILL)


def _starve(process: Process) -> str:
    """Let the tree have no more memory than it has; return what limits it.

    Its next allocation fails, or has the kernel kill it.
    """
    process.starved = True
    current = process.cgroup.memory_bytes() if process.cgroup else None
    if process.cgroup and current is not None and process.cgroup.limit_memory(current):
        return "control group"
    for pid in process.tree.read():
        _limit_address_space(pid)
    return "address space"


def _limit_address_space(pid: int) -> None:
    size = numbers(f"/proc/{pid}/status").get("VmSize")
    if size is not None and hasattr(resource, "prlimit"):
        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
            resource.prlimit(pid, resource.RLIMIT_AS, (size, hard))
        except (OSError, ValueError):
            return  # it has ended, or is not ours
