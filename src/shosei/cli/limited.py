"""What foreign files make a program do, tried in a process of its own, within limits of time and memory."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from shosei import proc
from shosei.errors import InputError


def run_limited(module: str, arguments: list[str], seconds: float, within: Path | None = None) -> list[str]:
    """Run ``module``, which calls ``limited_main``, for at most so many seconds of clock time; the notes that it told.

    Names in the folder ``within``, of which the user knows nothing, are told without it.

    Raises InputError, one line, for whatever it refuses, dies of, or takes more time or memory for than it may.
    """
    command = [sys.executable, "-P", "-m", module, *arguments]
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise InputError(f"the model was tried for {seconds:.0f} s without an end; nothing is imported") from None
    lines = ended.stdout.decode("utf-8", "replace").splitlines()
    told = [line.partition(" ")[::2] for line in lines]
    if ended.returncode != 0:
        step = next((text for kind, text in reversed(told) if kind == "step"), "start of Python")
        refused = next((text for kind, text in told if kind == "refused"), _why(ended, step))
        raise InputError(f"{refused.replace(f'{within}/', '')}; nothing is imported")
    return [text for kind, text in told if kind == "note"]


def _why(ended: subprocess.CompletedProcess[bytes], step: str) -> str:
    if ended.returncode == -signal.SIGPROF:
        return f"{step}: it does not end within the CPU time that it may take"
    last = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    reason = last[0][:200] if last else f"exit status {ended.returncode}"
    return f"{step}: it fails, or takes more memory than it may ({reason})"


def limited_main(work: Callable[[], None]) -> int:
    """Do the child's part; its exit status."""
    try:
        work()
    except InputError as error:
        _tell("refused", str(error))
        return 2
    return 0


def begin_step(name: str, seconds: float, size: int) -> None:
    """In the child: what comes now may take so much CPU time, then SIGPROF; and so much more memory than now, in bytes,
    where the system counts it, or as much as it allows."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    if held := proc.numbers("/proc/self/status").get("VmData"):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = held + size if hard == resource.RLIM_INFINITY else min(held + size, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    _tell("step", name)


def note(text: str) -> None:
    """In the child: what a user should know."""
    _tell("note", text)


def _tell(kind: str, text: str) -> None:
    print(kind, " ".join(text.split())[:1000], flush=True)
