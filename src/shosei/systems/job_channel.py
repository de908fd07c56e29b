"""The line to a ``system_process``: jobs are given over a Unix socket, and what became of each comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shosei.text_files import printable

_LINE_LIMIT = 1 << 23  # bytes; an answer may have 2^20, which JSON can make six times as long
_KILL_S = 10.0  # for a killed job to be reported


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: an answer, or an error with the line that says why; ``code`` is its exit code, if known."""

    answer: str = ""
    error: str = ""
    message: str = ""
    code: int | None = None


class JobChannel:
    """A socket that a process connects to, and its next start again. Use as an async context manager.

    ``interrupted`` says whether jobs that cannot end any more are cancelled, ``over`` whether no process will come.
    """

    def __init__(
        self, interrupted: Callable[[], bool] = lambda: False, over: Callable[[], bool] = lambda: False
    ) -> None:
        self._interrupted, self._over = interrupted, over
        self.connected = asyncio.Event()  # there is a process, or there will be none
        self._connection: asyncio.StreamWriter | None = None
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}

    async def __aenter__(self) -> JobChannel:
        self._stack = contextlib.AsyncExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="shosei-"))
        self.socket = f"{folder}/socket"  # a socket's path may have 107 bytes; a run folder's may be longer
        self._server = await asyncio.start_unix_server(self._talk, self.socket, limit=_LINE_LIMIT)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        if self._connection:
            self._connection.close()
        await self._stack.aclose()

    async def run(
        self, name: str, task: Mapping[str, Any], environment: Mapping[str, str], answer_file: Path, seconds: float
    ) -> Outcome:
        """Give the process a job and wait for its end, ``seconds`` at most. Raises CancelledError if interrupted."""
        await self.connected.wait()
        if self._interrupted():
            raise asyncio.CancelledError
        if self._connection is None:
            return Outcome(error="crashed", message="its process ended and could not be started again")
        waiting = self._waiting[name] = asyncio.get_running_loop().create_future()
        self._tell({"name": name, "task": task, "environment": environment, "answer_file": str(answer_file)})
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(waiting)
        except TimeoutError:
            self.kill(name)
            await asyncio.wait([waiting], timeout=_KILL_S)
            return Outcome(error="timeout", message=f"no answer within {seconds:g} s")
        finally:
            self._waiting.pop(name, None)

    def kill(self, name: str) -> None:
        """End a job that is under way."""
        self._tell({"kill": name})

    def _tell(self, message: Mapping[str, Any]) -> None:
        if self._connection:
            self._connection.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One start of the process: what it reports of its jobs, until it ends."""
        self._lose()
        self._connection = writer
        self.connected.set()
        with contextlib.suppress(ConnectionError):
            async for line in reader:
                report = json.loads(line)
                report["message"] = printable(report.get("message", ""))  # others' words are shown to people
                waiting = self._waiting.get(report.pop("name"))
                if waiting and not waiting.done():
                    waiting.set_result(Outcome(**report))
        writer.close()
        if self._connection is not writer:  # a process that outlived the system's held the old line; there is a new one
            return
        self._connection = None
        if not self._over():
            self.connected.clear()
        self._lose()

    def _lose(self) -> None:
        """What the process before was doing has come to its end."""
        for waiting in self._waiting.values():
            if waiting.done():
                continue
            if self._interrupted():
                waiting.cancel()
            else:
                waiting.set_result(Outcome(error="crashed", message="its process ended"))
