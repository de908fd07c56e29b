"""A sandbox: a process behind a wall, which runs one program after the other, each confined for itself.

The ladder, strongest first: ``bubblewrap`` (namespaces: nothing but Python and its libraries can be seen), ``sandlock``
(Landlock: nothing else can be read, nothing written), ``rlimits`` (no wall around files). On each rung a program has
limits on processor time and memory, no network, no processes (``inside``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shosei.sandbox.inside import confinement
from shosei.sandbox.packages import Packages

_INSIDE = Path(confinement.__file__).parent
_START_S = 30.0
_GRACE_S = 10.0  # for a stopped child to be gone
_REPORT_BYTES = 4096
_MOST_THREADS, _WATCH_S = 256, 0.02  # a program can start some forty in a millisecond
_NO_PACKAGES = Packages()
# Sets, of strings too, have the same order in every run.
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "PATH": ""}
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # of libraries that start one a core when loaded
_ZYGOTE = (
    "import json, sys; sys.path.insert(0, sys.argv[1]); from inside.zygote import main; del sys.path[0]; "
    "main(json.loads(sys.argv[2]))"
)
# sandlock asks for a home where there may be none. What an older kernel's Landlock does not protect, the filter of
# system calls does as well; the attacks show whether it holds.
_SANDLOCKED = (
    "import os, sys, json; os.environ['HOME'] = '/'; import sandlock; del os.environ['HOME']; "
    "sandlock.confine(sandlock.Sandbox(fs_readable=json.loads(sys.argv[1]), fs_writable=['/dev/null'], "
    "allow_degraded=list(sandlock.Protection))); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


class SandboxError(Exception):
    """The sandbox does not start, or does not answer any more."""


class End(msgspec.Struct, frozen=True):
    """How a child ended: by itself, stopped, or at a limit; by which signal; processor time in nanoseconds."""

    cause: str  # ended | stop | cpu | threads
    signal: int
    cpu_ns: int


class Sandbox:
    """One zygote (``inside.zygote``) behind the wall of ``backend``. Use as an async context manager."""

    def __init__(self, backend: str, cpu_s: int, memory_bytes: int, packages: Packages = _NO_PACKAGES) -> None:
        self.backend = backend
        self._settings = {
            "namespaces": backend == "bubblewrap",
            "cpu_s": cpu_s,
            "memory_bytes": memory_bytes,
            "modules": packages.modules,
            "named": packages.named,
        }
        self._packages = packages
        self._folder = ""
        self._watch: asyncio.Task[None] | None = None
        self._flooded = False

    async def __aenter__(self) -> Sandbox:
        """Raises SandboxError."""
        if self.backend == "rlimits":  # no wall: programs can write, and are given a place for it
            self._folder = tempfile.mkdtemp(prefix="shosei-exam-")
        settings = json.dumps({**self._settings, "folder": self._folder})
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._control = LineSocket(ours)
        with theirs:
            self._process = subprocess.Popen(
                _command(self.backend, settings, self._packages.paths),
                env=_ENVIRONMENT | (_ONE_THREAD if self._packages.paths else {}),
                cwd=self._folder or "/",
                start_new_session=True,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        try:
            async with asyncio.timeout(_START_S):
                ready = await self._control.read()
        except TimeoutError:
            ready = b""
        except BaseException:
            self._end()
            raise
        if ready != b"ready":
            words = self._end()
            raise SandboxError(words.splitlines()[-1] if words else "it does not start")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> str:
        """End the zygote: its child ends with it, and bubblewrap with both. Returns what it said on standard error."""
        self._stop_watching()
        self._control.close()
        self._process.kill()
        _, words = self._process.communicate()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        return str(words, "utf-8", "replace").strip()

    async def start(self, channel: socket.socket, request: dict[str, Any]) -> LineSocket:
        """Start a child with its end of ``channel``; return the talk with it. Raises SandboxError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        talk = LineSocket(ours)
        try:
            with theirs:
                socket.send_fds(self._control.socket, [b"run\n"], [theirs.fileno(), channel.fileno()])
            await talk.write(json.dumps(request).encode())
        except OSError as error:
            talk.close()
            raise SandboxError(str(error)) from None
        self._flooded, self._watch = False, asyncio.create_task(self._limit_threads())
        return talk

    def _stop_watching(self) -> None:
        """Before the zygote is collected: its process id may then be another's."""
        if self._watch:
            self._watch.cancel()

    async def _limit_threads(self) -> None:
        """End a program that has more threads than any solution of a task: they are the whole machine's to run out of.

        No limit of the kernel counts a process's own threads, and those that sleep use no processor time.
        """
        while not self._flooded:
            await asyncio.sleep(_WATCH_S)
            for pid in _descendants(self._process.pid):
                if _threads(pid) > _MOST_THREADS:
                    self._flooded = True
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)

    async def end(self, grace_s: float = 0.0) -> End:
        """Stop the child if it has not ended within the grace; how it ended. Raises SandboxError."""
        self._stop_watching()
        try:
            async with asyncio.timeout(_GRACE_S):
                report = asyncio.ensure_future(self._control.read())
                await asyncio.wait([report], timeout=grace_s)
                await self._control.write(b"stop")
                end = msgspec.json.decode(await report, type=End)
        except (OSError, msgspec.DecodeError, TimeoutError) as error:
            raise SandboxError(f"it does not answer: {error}") from None
        for left in Path(self._folder).iterdir() if self._folder else ():
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        return msgspec.structs.replace(end, cause="threads") if self._flooded else end


class LineSocket:
    """A socket read and written in lines. Owns the socket."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._data = b""

    async def read(self) -> bytes:
        """The next line; empty at the end, or when it is longer than any that is meant."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._data:
            try:
                data = await loop.sock_recv(self.socket, _REPORT_BYTES)
            except ConnectionError:
                return b""
            if not data or len(self._data) > _REPORT_BYTES:
                return b""
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        return line

    async def write(self, line: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, line + b"\n")

    def close(self) -> None:
        self.socket.close()


def _descendants(pid: int) -> Iterator[int]:
    """The processes that ``pid`` has started, and those that they have."""
    with contextlib.suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            yield child
            yield from _descendants(child)


def _threads(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task"))
    return 0


def _command(backend: str, settings: str, packages: Sequence[str] = ()) -> list[str]:
    python, folder = os.path.realpath(sys.executable), str(_INSIDE)
    zygote = [python, "-S", "-s", "-P", "-c", _ZYGOTE]
    if backend == "bubblewrap":
        bwrap = shutil.which("bwrap") or "bwrap"
        return [bwrap, *_bubblewrap_arguments([python, *packages], folder), *zygote, "/exam", settings]
    zygote += [str(_INSIDE.parent), settings]
    if backend == "sandlock":
        paths = (*_libraries(), python, str(_INSIDE.parent), "/dev/null", "/dev/urandom", *packages)
        readable = json.dumps([path for path in paths if os.path.exists(path)])
        return [sys.executable, "-I", "-c", _SANDLOCKED, readable, *zygote]
    return zygote


def _bubblewrap_arguments(files: Sequence[str], folder: str) -> list[str]:
    """bubblewrap's arguments: what can be seen, read-only, with ``inside``; CAP_SYS_ADMIN is the zygote's alone."""
    walls = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-add", "CAP_SYS_ADMIN"]
    for path in (*_libraries(), *files):
        walls += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind-try", path, path]
    for path in ("/dev/null", "/dev/urandom"):
        walls += ["--dev-bind", path, path]
    return [*walls, "--ro-bind", folder, "/exam/inside", "--dir", confinement.FOLDER, "--remount-ro", "/"]


def _libraries() -> list[str]:
    """What Python needs to run: the system's libraries, and its own."""
    own = {sysconfig.get_path("stdlib"), os.path.join(sys.base_prefix, "lib")}
    return ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", *sorted(own - {"/usr/lib"})]
