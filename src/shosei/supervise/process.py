"""One start of one command: in a session and, where there can be one, a control group of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from shosei.errors import InputError
from shosei.lineage import SPARE_VARIABLE, die_with
from shosei.log import Fault
from shosei.proc import stat
from shosei.supervise.cgroup import Cgroup
from shosei.supervise.heartbeat import FilePulse, HeartbeatConfig, OutputPulse, Pulse
from shosei.supervise.steps import StepReader
from shosei.supervise.tree import MARK_VARIABLE, Tree

_POLL_S = 0.05  # where the kernel has no pidfd
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Child:
    """A command to supervise. ``name`` is stable over its restarts; ``phase`` (training | inference) marks its events.

    With ``spare`` a second start of it is kept, which must call ``lineage.wait_until_needed`` before its work.
    Raises InputError if the command is empty or not to be found.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    phase: str = ""
    heartbeat: HeartbeatConfig = field(default_factory=HeartbeatConfig)
    spare: bool = False

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
    """A running command; its standard output and error reach ours. ``pid`` names its process, group and session.

    ``tree`` is that process and all below it, ``cgroup`` the group that holds them, if one could be made.
    """

    def __init__(
        self, child: Child, env: Mapping[str, str], steps: StepReader | None = None, is_spare: bool = False
    ) -> None:
        self.child, self.was_spare = child, is_spare
        self._steps = steps
        self.told_to_stop = False
        self.hung = False  # the watchdog has ended it
        self.starved = False  # an injected fault has taken its memory away
        self.faults: list[Fault] = []  # injected; they last until its end
        self.start_ns = time.monotonic_ns()
        mark = f"{mark_of(os.getpid())}{next(_numbers)}"
        env = {**env, MARK_VARIABLE: mark} | ({SPARE_VARIABLE: "1"} if is_spare else {})
        stdin = subprocess.PIPE if is_spare else subprocess.DEVNULL
        self._popen, self.cgroup = _start(child, env, Cgroup.create(f"shosei-{mark}"), stdin)
        self.pid = self._popen.pid
        self.tree = Tree(self.pid, mark, self.cgroup)
        self._guard = _guard(self.pid, self.cgroup)
        self.pulse: Pulse | None = FilePulse(child.heartbeat.file) if child.heartbeat.file else None
        if child.heartbeat.searched is not None:
            pipes: list[tuple[IO[bytes] | None, int]] = [(self._popen.stdout, 1), (self._popen.stderr, 2)]
            streams = [(pipe, target) for pipe, target in pipes if pipe]
            self.pulse = OutputPulse(child.heartbeat.searched, streams, steps.begin() if steps else None)

    @property
    def own_pids(self) -> set[int]:
        """The processes that we collect ourselves."""
        return {self.pid, self._guard.pid}

    @property
    def counts_oom_kills(self) -> bool:
        """Whether the kernel counts those of this tree apart from the machine's."""
        return self.cgroup is not None and self.cgroup.memory_bytes() is not None

    def begin(self) -> bool:
        """Have a spare do its work; say whether it still lives to do so."""
        assert self._popen.stdin, "a spare has a pipe"
        self.start_ns = time.monotonic_ns()
        with contextlib.suppress(OSError), self._popen.stdin:
            self._popen.stdin.write(b"\n")
            return self._popen.poll() is None
        return False

    async def ended(self) -> None:
        """Wait for the end of the process; on Linux it stays a zombie, whose last counters can still be read."""
        if not hasattr(os, "pidfd_open"):
            while self._popen.poll() is None:
                await asyncio.sleep(_POLL_S)
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
        self.signal_group(signum)

    def signal_group(self, signum: int) -> None:
        """Send a signal to the command and to what it has started in its group."""
        # EPERM is macOS's answer for a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signum)

    def signal_leader(self, signum: int) -> None:
        """For signals that mean something to the command alone, and would end its helpers."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def out_of_memory(self) -> bool:
        """Whether it is known that the tree could not get memory: from its group, its last words or our own doing."""
        return (
            self.starved
            or (self.cgroup is not None and self.cgroup.oom_kills() > 0)
            or (isinstance(self.pulse, OutputPulse) and self.pulse.tells_of_no_memory())
        )

    def kill(self) -> None:
        """End the whole tree."""
        # As long as the leader is not collected, its id cannot come to name another group.
        self.signal_group(signal.SIGKILL)
        self.tree.kill()

    def reap(self) -> int:
        """Kill what is left of the tree, collect the process; return its exit code, or minus its signal."""
        self.kill()
        code = self._popen.wait()
        if self._popen.stdin:
            self._popen.stdin.close()
        if isinstance(self.pulse, OutputPulse):
            self.pulse.drain()
        if self._steps:
            self._steps.end()
        self._guard.kill()
        self._guard.communicate()
        return code

    def forget(self) -> None:
        """Remove the control group, once nobody reads it any more."""
        if self.cgroup:
            self.cgroup.remove()


def mark_of(supervisor: int) -> str:
    """What the marks of all that the process ``supervisor`` starts begin with; it names that process for good."""
    found = stat(supervisor)
    return f"{supervisor}-{found.start_ticks if found else 0}-"


def _start(
    child: Child, env: Mapping[str, str], cgroup: Cgroup | None, stdin: int
) -> tuple[subprocess.Popen[bytes], Cgroup | None]:
    """The command, started, and the group that it has joined: none if it cannot join ``cgroup``."""
    supervisor, doors = os.getpid(), cgroup.doors() if cgroup else []
    stdout = stderr = None
    if child.heartbeat.searched is not None:
        # Where both go to one file they share a pipe, so that they stay in order.
        stdout = subprocess.PIPE
        stderr = subprocess.STDOUT if os.path.sameopenfile(1, 2) else subprocess.PIPE
        env = {"PYTHONUNBUFFERED": "1", **env}  # into a pipe, Python would keep 8 KiB of progress to itself

    def enter() -> None:
        die_with(supervisor)
        for door in doors:
            os.write(door, b"0")

    try:
        return subprocess.Popen(
            child.argv,
            env=env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,
            start_new_session=True,
            preexec_fn=enter,
        ), cgroup
    except BaseException as error:
        if cgroup:
            cgroup.remove()
            if isinstance(error, subprocess.SubprocessError):  # ``enter`` failed
                return _start(child, env, None, stdin)
        raise
    finally:
        for door in doors:
            os.close(door)


# A group can be removed once the last process in it is quite gone.
_GUARD = """
read -r _
kill -s KILL -- "-$1"
shift
for group; do
    tries=100
    while [ -d "$group" ] && ! rmdir "$group" && [ $((tries -= 1)) -gt 0 ]; do
        kill -s KILL $(cat "$group/cgroup.procs")
        sleep 0.05
    done
done
"""


def _guard(group: int, cgroup: Cgroup | None) -> subprocess.Popen[bytes]:
    """A shell that ends the process group and the control group once our end of its pipe closes, however we die.

    The kernel's own signal reaches the command only, not what that has started; and it is Linux's alone. Without a
    control group, neither reaches a process that has opened a session of its own: if we are killed, it lives on.
    """
    folders = [str(folder) for folder in cgroup.folders] if cgroup else []
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "guard", str(group), *folders],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
