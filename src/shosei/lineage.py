"""A process of ours ends with its parent, even if that is killed with SIGKILL, and adopts orphans (Linux).

One that is started as a spare waits until its parent has need of it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

from shosei.proc import scan

# A parent of ours leaves its pid here for a child of ours.
PARENT_VARIABLE = "SHOSEI_PARENT"
# Set for a spare; its parent writes a line to its standard input once it is needed.
SPARE_VARIABLE = "SHOSEI_SPARE"

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_PR_SET_CHILD_SUBREAPER = 36
_GONE_S = 2.0  # for the kernel to end processes that are killed
_libc = ctypes.CDLL(None)  # before any fork: loading is not safe after one


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent, process ``parent``, ends. Nothing happens off Linux."""
    if not sys.platform.startswith("linux"):
        return
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call: its signal will never come
        os._exit(128 + signal.SIGKILL)


def is_spare() -> bool:
    """Whether this process is to wait before it does its work."""
    return SPARE_VARIABLE in os.environ


def wait_until_needed() -> None:
    """In a spare: return once its parent needs it; end where the parent has ended."""
    del os.environ[SPARE_VARIABLE]
    if not sys.stdin.buffer.readline():
        raise SystemExit(0)


def adopt_orphans(adopt: bool = True) -> None:
    """Become the parent of every descendant whose own parent ends, or stop so. Nothing happens off Linux."""
    if sys.platform.startswith("linux"):
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def collect_adopted(own: set[int]) -> None:
    """Collect the ended processes that we have adopted: our children, but for ``own``."""
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, 0)


def end_adopted(own: set[int]) -> None:
    """End the processes that we have adopted, and what they have started, which we adopt in turn: all but ``own``."""
    deadline = time.monotonic() + _GONE_S
    while (adopted := _children() - own) and time.monotonic() < deadline:
        for pid in adopted:
            with contextlib.suppress(PermissionError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.001)


def _children() -> set[int]:
    return {pid for pid, process in scan().items() if process.parent == os.getpid()}
