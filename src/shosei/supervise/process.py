"""One start of one command: in a session of its own, bound to the supervisor's life."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from shosei.errors import InputError
from shosei.lineage import die_with
from shosei.supervise.meters import Tree, scan

_POLL_SECONDS = 0.05  # where the kernel has no pidfd


@dataclass(frozen=True)
class Child:
    """A command to supervise. ``name`` is stable over its restarts; ``phase`` (training | inference) marks its events.

    Raises InputError if the command is empty or not to be found.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    phase: str = ""

    def __post_init__(self) -> None:
        if not self.argv:
            raise InputError(f"no command for '{self.name}': write it after '--'")
        if shutil.which(self.argv[0], path=self.env.get("PATH")) is None:
            raise InputError(f"cannot run '{self.argv[0]}': no such program; give its path, or correct PATH")

    @property
    def is_ours(self) -> bool:
        """Whether it is a shosei verb, so that our exit codes and variables have their meaning."""
        return Path(self.argv[0]).name == "shosei" or list(self.argv[1:3]) == ["-m", "shosei"]


class Process:
    """A running command; standard output and error are ours. ``pid`` names its process, its group and its session.

    ``tree`` is that process and all below it.
    """

    def __init__(self, child: Child, env: Mapping[str, str]) -> None:
        self.child = child
        self.told_to_stop = False
        self.start_ns = time.monotonic_ns()
        self._popen = subprocess.Popen(
            child.argv,
            env=env,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=partial(die_with, os.getpid()),
        )
        self.pid = self._popen.pid
        self.tree = Tree(self.pid)
        self._guard = _guard(self.pid)

    async def ended(self) -> None:
        """Wait for the end of the process; on Linux it stays a zombie, whose last counters can still be read."""
        if not hasattr(os, "pidfd_open"):
            while self._popen.poll() is None:
                await asyncio.sleep(_POLL_SECONDS)
            return
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        descriptor = os.pidfd_open(self.pid)
        loop.add_reader(descriptor, end.set)
        try:
            await end.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def stop(self, signum: int) -> None:
        """Pass a signal on to the whole group: from now on its end is a planned one."""
        self.told_to_stop = True
        self._signal(signum)

    def reap(self) -> int:
        """Kill what is left of the tree, collect the process; return its exit code, or minus its signal."""
        left = self.tree.members(scan())
        # Before the wait: as long as the leader is not collected, its id cannot come to name another group.
        self._signal(signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        code = self._popen.wait()
        self._guard.kill()
        self._guard.communicate()
        return code

    def _signal(self, signum: int) -> None:
        # EPERM is macOS's answer for a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signum)


def _guard(group: int) -> subprocess.Popen[bytes]:
    """A shell that kills the whole group once our end of its pipe closes, however we die.

    The kernel's own signal reaches the command only, not what that has started; and it is Linux's alone. Neither
    reaches a process that left the group for a session of its own: if we are killed, such a one lives on.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _; kill -s KILL -- "-$1"', "guard", str(group)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
