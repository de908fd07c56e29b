"""Why a process ended, from what can be known outside it."""

from __future__ import annotations

import signal
from pathlib import Path

_START_UP_NS = 2_000_000_000


def exit_code(status: int) -> int:
    """A shell's exit code for a wait status as ``subprocess`` gives it (minus the signal): 128 + signal."""
    return 128 - status if status < 0 else status


def classify(status: int, duration_ns: int, *, told_to_stop: bool, out_of_memory: bool) -> tuple[bool, str]:
    """``(planned, cause)`` as ``proc.exit`` has them.

    ``out_of_memory``: the kernel killed some process for want of memory within the last sampling interval. A signal
    is also seen through a shell, which reports it as 128 + signal. ``start-up`` is a failure so early that nothing
    can have been done.
    """
    if told_to_stop:
        return True, "stopped"
    if status == 0:
        return True, "done"
    fatal = exit_code(status) - 128
    if fatal == signal.SIGKILL and out_of_memory:
        return False, "out of memory"
    if fatal in set(signal.Signals):
        return False, "signal"
    return False, "start-up" if duration_ns < _START_UP_NS else "exception"


def oom_kills() -> int | None:
    """Processes that this machine's kernel has killed for want of memory since it started (control groups' too)."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return None
