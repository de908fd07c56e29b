"""One task in a process of its own: a fork that runs an async function, or a command."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from shosei.lineage import adopt_orphans, die_with
from shosei.systems.reason import reason_of
from shosei.systems.stream import Stream
from shosei.wire.system import Assignment, SystemFunction

LIMIT_BYTES = 1 << 20  # of an answer
_PRINTED_BYTES = 64 << 20  # on standard output of a command that has written no answer file: it will be no answer
_SIGNALS = {each.value: each.name for each in signal.Signals}  # real-time signals have numbers only


class Job:
    """A task under way in process ``pid``; ``printed`` is its standard error, and a function's standard output.

    ``task`` is what it is given: a command as JSON on standard input, a function as an Assignment and a ``base_url``.
    ``answer`` is what a function returns. A command answers with the file at ``answer_file`` if it writes one, and else
    with its standard output.
    """

    def __init__(
        self,
        name: str,
        system: SystemFunction | Sequence[str],
        task: Mapping[str, Any],
        environment: Mapping[str, str],
        answer_file: Path,
    ) -> None:
        self.name, self._answer_file = name, answer_file
        self.answer, self.printed = Stream(LIMIT_BYTES), Stream()
        self._is_function = callable(system)
        parent, self.pid = os.getpid(), os.fork()
        if not self.pid:
            self._begin(parent, system, task, environment)
        for stream in (self.answer, self.printed):
            stream.given()

    @property
    def floods(self) -> bool:
        """Whether it prints without end where its answer is expected."""
        return self.answer.size > _PRINTED_BYTES and not self._answer_file.exists()

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
        for stream in (self.answer, self.printed):
            stream.drain()
        if self.floods:
            return _FLOOD
        if status < 0:
            return _failure("crashed", f"ended by signal {_SIGNALS.get(-status, -status)}")
        return self._of_function(status) if self._is_function else self._of_command(status)

    def log(self) -> bytes:
        """What it printed beside its answer, without the middle of much."""
        if self._is_function or not self._answer_file.exists():
            return self.printed.log()
        return self.answer.log() + self.printed.log()

    def _of_function(self, status: int) -> dict[str, str]:
        if (answer := self.answer.whole) is None:
            return _FLOOD
        try:
            returned: dict[str, str] = json.loads(answer)
        except ValueError:
            return _failure("crashed", f"exit code {status}, and no answer")
        return returned

    def _of_command(self, status: int) -> dict[str, str]:
        if status:
            return _failure("raised", reason_of(self.log().decode("utf-8", "replace")) or f"exit code {status}")
        written = _written(self._answer_file)
        if (answer := self.answer.whole if written is None else written) is None or len(answer) > LIMIT_BYTES:
            return _FLOOD
        try:
            return {"answer": answer.decode()}
        except UnicodeDecodeError:
            return _failure("no answer", "its answer is not UTF-8")

    def _begin(
        self,
        parent: int,
        system: SystemFunction | Sequence[str],
        task: Mapping[str, Any],
        environment: Mapping[str, str],
    ) -> NoReturn:
        """In the job's own process: be the task, to the end."""
        try:
            os.setsid()
            die_with(parent)
            adopt_orphans()  # none of them outlives it: system_process ends what it leaves
            signal.set_wakeup_fd(-1)
            for signum in (signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(signum, signal.SIG_DFL)
            os.dup2(self.printed.give(), 2)
            os.environ |= environment
            if callable(system):
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(self.printed.give(), 1)
                returned = json.dumps(_returned(system, task), ensure_ascii=False)
                with open(self.answer.give(), "wb") as pipe:
                    pipe.write(returned.encode("utf-8", "replace"))
                sys.stdout.flush()
                os._exit(0)
            with tempfile.TemporaryFile() as given:  # no pipe: we do not wait for who reads it, or does not
                given.write(json.dumps(task, ensure_ascii=False).encode())
                given.flush()
                os.lseek(given.fileno(), 0, os.SEEK_SET)
                os.dup2(given.fileno(), 0)
                os.dup2(self.answer.give(), 1)
                os.execvp(system[0], list(system))
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(1)  # the clean-up of the system's process is not this one's


def _returned(system: SystemFunction, task: Mapping[str, Any]) -> dict[str, str]:
    """Run the function to its end, whatever that is."""
    try:
        fields = dict(task)
        base_url = fields.pop("base_url")
        pending = system(Assignment(**fields), base_url)
        answer = asyncio.run(_awaited(pending)) if inspect.isawaitable(pending) else pending
        if not isinstance(answer, str):
            raise TypeError(f"the answer is of type {type(answer).__name__}, not str")
    except BaseException:
        import traceback

        traceback.print_exc()
        return _failure("raised", reason_of(traceback.format_exc()))
    return {"answer": answer}


async def _awaited(pending: Awaitable[str]) -> str:
    return await pending


def _written(path: Path) -> bytes | None:
    """What the file holds, one byte more than an answer may have at most; None if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would have us wait
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a folder would be an error to open
        os.close(descriptor)
        return None
    with open(descriptor, "rb") as file:
        return file.read(LIMIT_BYTES + 1)


def _failure(error: str, message: str) -> dict[str, str]:
    return {"error": error, "message": message}


_FLOOD = _failure("flood", f"its answer has more than {LIMIT_BYTES} bytes")
