"""Why a process ended, from what can be known outside it, and whether it is started again."""

from __future__ import annotations

import signal
import time
from collections import deque
from dataclasses import dataclass, field

from shosei.proc import oom_kills

_START_UP_NS = 2_000_000_000


def exit_code_of_status(status: int) -> int:
    """A shell's exit code for a wait status as ``subprocess`` gives it (minus the signal): 128 + signal."""
    return 128 - status if status < 0 else status


def classify(
    status: int,
    duration_ns: int,
    *,
    told_to_stop: bool = False,
    hung: bool = False,
    out_of_memory: bool = False,
    oom_kill_near: bool = False,
) -> tuple[bool, str]:
    """``(planned, cause)`` as ``proc.exit`` has them.

    ``hung``: the watchdog ended it. ``out_of_memory``: that its tree could not get memory is known. ``oom_kill_near``:
    the kernel killed some process of the machine for want of memory at about that time, which explains a SIGKILL.
    A signal is also seen through a shell, which reports it as 128 + signal. ``start-up`` is a failure so early that
    nothing can have been done.
    """
    if told_to_stop:
        return True, "stopped"
    if hung:
        return False, "hang"
    if status == 0:
        return True, "done"
    fatal = exit_code_of_status(status) - 128
    if out_of_memory or (fatal == signal.SIGKILL and oom_kill_near):
        return False, "out of memory"
    if fatal in set(signal.Signals):
        return False, "signal"
    return False, "start-up" if duration_ns < _START_UP_NS else "exception"


class OomKills:
    """The processes that this machine's kernel has killed for want of memory since it started (control groups' too)."""

    def __init__(self) -> None:
        # The reading before the last one too: a kill may come just before a reading, and be seen just after it.
        self._readings = [oom_kills()] * 2

    def look(self) -> None:
        """Take a reading; call it at regular times."""
        self._readings = [self._readings[-1], oom_kills()]

    def rose(self) -> bool:
        """Whether there was one since the reading before the last."""
        return oom_kills() != self._readings[0]


@dataclass
class RestartBudget:
    """At most ``most`` restarts of one command: in all or, where ``per_s`` is given, within any time of that length.

    A restart waits ``backoff_s``, and twice as long for each one before it that still counts.
    """

    most: int
    per_s: float | None
    backoff_s: float
    _counted_s: deque[float] = field(default_factory=deque)  # when, on the monotonic clock

    def spend(self, now_s: float | None = None) -> float | None:
        """Count one more restart; return the seconds to wait before it, or None where the budget is spent."""
        now_s = time.monotonic() if now_s is None else now_s
        while self._counted_s and self.per_s is not None and now_s - self._counted_s[0] >= self.per_s:
            self._counted_s.popleft()
        if len(self._counted_s) >= self.most:
            return None
        self._counted_s.append(now_s)
        return self.backoff_s * 2.0 ** (len(self._counted_s) - 1)
