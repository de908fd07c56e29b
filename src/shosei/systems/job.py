"""One task in a process of its own: a fork that runs an async function, or a command."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Sequence
from dataclasses import asdict
from typing import NoReturn

from shosei.lineage import die_with
from shosei.wire.system import Assignment, SystemFunction

LIMIT_BYTES = 1 << 20  # of an answer, and of everything else that a task prints
_CHUNK_BYTES = 1 << 16
_SIGNALS = {known.value: known.name for known in signal.Signals}  # real-time signals have numbers only


class Stream:
    """The reading end of a pipe whose other end a job has, kept up to the limit."""

    def __init__(self) -> None:
        self.end, self._theirs = os.pipe()
        os.set_blocking(self.end, False)
        self.data = bytearray()

    def give(self) -> int:
        """The job's end."""
        return self._theirs

    def given(self) -> None:
        """The job has its end: ours of it closes, so that the job's own close can be seen."""
        os.close(self._theirs)

    def read(self) -> bool:
        """Take what is there; whether more may come."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.end, _CHUNK_BYTES):
                self.data += chunk
                if self.floods:
                    return False
            return False
        return True

    @property
    def floods(self) -> bool:
        return len(self.data) > LIMIT_BYTES

    def close(self) -> None:
        os.close(self.end)


class Job:
    """A task under way in process ``pid``; ``answer`` is what it answers with, ``output`` what else it prints."""

    def __init__(self, name: str, system: SystemFunction | Sequence[str], task: Assignment, base_url: str) -> None:
        self.name = name
        self.answer, self.output = Stream(), Stream()
        self._is_function = callable(system)
        parent, self.pid = os.getpid(), os.fork()
        if not self.pid:
            self._begin(parent, system, task, base_url)
        for stream in (self.answer, self.output):
            stream.given()

    def kill(self) -> None:
        """End it with all that it started in its session."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has not come to open its session
            os.kill(self.pid, signal.SIGKILL)
        except PermissionError:  # macOS's answer for a group of zombies
            pass

    def outcome(self, status: int) -> dict[str, str]:
        """What became of it, by its exit code (or minus its signal): ``answer``, or ``error`` and ``message``."""
        for stream in (self.answer, self.output):
            stream.read()
            stream.close()
        if self.answer.floods or self.output.floods:
            return _failure("flood", f"it wrote more than {LIMIT_BYTES} bytes")
        if status < 0:
            return _failure("crashed", f"ended by signal {_SIGNALS.get(-status, -status)}")
        if self._is_function:
            return self._of_function(status)
        return self._of_command(status)

    def _of_function(self, status: int) -> dict[str, str]:
        try:
            returned: dict[str, str] = json.loads(self.answer.data)
        except ValueError:
            return _failure("crashed", f"exit code {status}, and no answer")
        return returned

    def _of_command(self, status: int) -> dict[str, str]:
        if status:
            lines = self.output.data.decode("utf-8", "replace").strip().splitlines()
            return _failure("raised", lines[-1] if lines else f"exit code {status}")
        try:
            return {"answer": self.answer.data.decode()}
        except UnicodeDecodeError:
            return _failure("no answer", "what it printed is not UTF-8")

    def _begin(self, parent: int, system: SystemFunction | Sequence[str], task: Assignment, base_url: str) -> NoReturn:
        """In the job's own process: be the task, to the end."""
        try:
            os.setsid()
            die_with(parent)
            signal.set_wakeup_fd(-1)
            for signum in (signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(signum, signal.SIG_DFL)
            os.dup2(self.output.give(), 2)
            if callable(system):
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(self.output.give(), 1)
                returned = json.dumps(_returned(system, task, base_url), ensure_ascii=False)
                with open(self.answer.give(), "wb") as pipe:
                    pipe.write(returned.encode("utf-8", "replace"))
                sys.stdout.flush()
                os._exit(0)
            with tempfile.TemporaryFile() as given:  # no pipe: we do not wait for who reads it, or does not
                given.write(json.dumps({**asdict(task), "base_url": base_url}, ensure_ascii=False).encode())
                given.flush()
                os.lseek(given.fileno(), 0, os.SEEK_SET)
                os.dup2(given.fileno(), 0)
                os.dup2(self.answer.give(), 1)
                os.execvpe(system[0], list(system), {**os.environ, "OPENAI_BASE_URL": base_url})
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(1)  # the clean-up of the system's process is not this one's


def _returned(system: SystemFunction, task: Assignment, base_url: str) -> dict[str, str]:
    """Run the function to its end, whatever that is."""
    try:
        pending = system(task, base_url)
        answer = asyncio.run(_awaited(pending)) if inspect.isawaitable(pending) else pending
        if not isinstance(answer, str):
            raise TypeError(f"the answer is of type {type(answer).__name__}, not str")
    except BaseException as error:
        import traceback

        traceback.print_exc()
        words = str(error).strip().partition("\n")[0]
        return _failure("raised", f"{type(error).__name__}: {words}".removesuffix(": "))
    return {"answer": answer}


async def _awaited(pending: Awaitable[str]) -> str:
    return await pending


def _failure(error: str, message: str) -> dict[str, str]:
    return {"error": error, "message": message}
