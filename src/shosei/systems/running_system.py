"""A system's process under the supervisor, and the tasks that it is given over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shosei.errors import MeasurementInvalid
from shosei.log import Writer
from shosei.supervise import Child, Supervisor
from shosei.systems.system import System
from shosei.wire.system import Assignment

_LINE_LIMIT = 1 << 23  # bytes; an answer may have 2^20, which JSON can make six times as long
_KILL_S = 10.0  # for a killed task to be reported
_PLACEHOLDER = "none"  # the upstream's key is the gateway's; whoever asks for one is given this


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task: an answer, or an error with the first line of its reason."""

    answer: str = ""
    error: str = ""
    message: str = ""


class RunningSystem:
    """The running system, for the length of the block. What its tasks print goes to ``output``."""

    def __init__(self, system: System, writer: Writer, output: Path) -> None:
        self._system, self._writer, self._output = system, writer, output
        self._connected = asyncio.Event()
        self._connection: asyncio.StreamWriter | None = None
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}

    async def __aenter__(self) -> RunningSystem:
        """Raises MeasurementInvalid: the system does not start."""
        self._stack = contextlib.AsyncExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="shosei-"))
        socket = f"{folder}/socket"  # a socket's path may have 107 bytes; a run folder's may be longer
        self._server = await asyncio.start_unix_server(self._talk, socket, limit=_LINE_LIMIT)
        argv = self._system.command_line(socket, str(self._output.absolute()))
        environment = {"OPENAI_API_KEY": _PLACEHOLDER, **self._system.environment}
        child = Child(self._system.name, argv, environment, phase="inference")
        self._supervisor = Supervisor(self._writer, [child])
        self._supervising = asyncio.create_task(self._supervisor.run())
        self._supervising.add_done_callback(lambda _: self._connected.set())
        await self._connected.wait()
        if self._supervisor.lost:
            await self.__aexit__()
            raise MeasurementInvalid(f"{self._system.name} does not start; what it said stands above")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._supervisor.stop()
        await self._supervising
        self._server.close()
        await self._stack.aclose()

    @property
    def interrupted(self) -> bool:
        """Whether we were told to stop, so that what is under way cannot end."""
        return self._supervisor.stopping and not self._supervisor.lost

    async def run(self, name: str, task: Assignment, base_url: str, answer_file: Path, seconds: float) -> Outcome:
        """Give the system a task and wait for its end, ``seconds`` at most. Raises CancelledError if interrupted."""
        await self._connected.wait()
        if self.interrupted:
            raise asyncio.CancelledError
        if self._connection is None:
            return Outcome(error="crashed", message="the system ended and could not be started again")
        waiting = self._waiting[name] = asyncio.get_running_loop().create_future()
        self._tell({"name": name, "task": asdict(task), "base_url": base_url, "answer_file": str(answer_file)})
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
        """End a task that is under way."""
        self._tell({"kill": name})

    def _tell(self, message: dict[str, Any]) -> None:
        if self._connection:
            self._connection.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One start of the system's process: what it reports of its tasks, until it ends."""
        self._lose()
        self._connection = writer
        self._connected.set()
        with contextlib.suppress(ConnectionError):
            async for line in reader:
                report = json.loads(line)
                waiting = self._waiting.get(report.pop("name"))
                if waiting and not waiting.done():
                    waiting.set_result(Outcome(**report))
        writer.close()
        if self._connection is not writer:  # a process that outlived the system's held the old line; there is a new one
            return
        self._connection = None
        if not self._supervising.done():
            self._connected.clear()
        self._lose()

    def _lose(self) -> None:
        """What the process before was doing has come to its end."""
        for waiting in self._waiting.values():
            if waiting.done():
                continue
            if self.interrupted:
                waiting.cancel()
            else:
                waiting.set_result(Outcome(error="crashed", message="the system's process ended"))
