"""What attacks aim at: a file, a server, a process and a datagram socket outside the sandbox, watched from outside."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_WAITS = [sys.executable, "-I", "-S", "-c", "input()"]


class Outside:
    """Use as a context manager. ``arguments``: those of the attacks; ``touched``: which of them left a trace."""

    def __enter__(self) -> Outside:
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shosei-proof-")))
            self._secret = self._folder / "secret"
            self._secret.write_text("secret")
            (self._folder / "secret.spare").write_text("spare")
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            self._process = stack.enter_context(subprocess.Popen(_WAITS, stdin=subprocess.PIPE))
            stack.callback(self._process.kill)
            folder = os.open(self._folder, os.O_RDONLY)
            stack.callback(os.close, folder)
            # By the folder's descriptor, as a socket's own path must be short.
            mailboxes = (f"/proc/self/fd/{folder}/mailbox", f"\0{self._folder}"[-100:])
            self._mailboxes = [stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) for _ in mailboxes]
            for mailbox, name in zip(self._mailboxes, mailboxes, strict=True):
                mailbox.bind(name)
                mailbox.setblocking(False)
            self.arguments = [str(self._secret), server.getsockname()[1], self._process.pid, mailboxes[1]]
            self._before = self._state()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def traces(self) -> set[str]:
        """The attacks that leave one if they succeed."""
        return {*self._before}

    def touched(self) -> set[str]:
        """The attacks that changed something, whatever they answered."""
        now = self._state()
        return {attack for attack, before in self._before.items() if now[attack] != before}

    def _state(self) -> dict[str, Any]:
        """By the attack that would change it."""
        file, process = self._secret.stat(), self._process.pid
        return {
            "write outside": self._secret.with_name("secret.written").exists(),
            "change a folder outside": [name for name in sorted(os.listdir(self._folder)) if name != "secret.written"],
            "change a file's mode": file.st_mode,
            "take a file": (file.st_uid, file.st_gid),
            "change a file's times": file.st_mtime_ns,
            "change a file's attributes": _attributes(self._secret),
            "signal other processes": self._process.poll(),
            "renice another process": os.getpriority(os.PRIO_PROCESS, process),
            "pin another process": (os.sched_getaffinity(process), os.sched_getscheduler(process)),
            "limit another process": resource.prlimit(process, resource.RLIMIT_NOFILE),
            "send a datagram": any(map(_got_one, self._mailboxes)),
        }


def _got_one(mailbox: socket.socket) -> bool:
    try:
        return bool(mailbox.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def _attributes(file: Path) -> list[str]:
    try:
        return os.listxattr(file)
    except OSError:  # a file system without them
        return []
