"""A system's process under the supervisor, and the tasks that it is given."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

from shosei.errors import MeasurementInvalid, interruption
from shosei.log import Writer
from shosei.supervise import Child, Supervisor
from shosei.systems.job_channel import JobChannel, Outcome
from shosei.systems.system import System
from shosei.systems.task_folder import TaskFolder
from shosei.wire.system import ANSWER_VARIABLE, FOLDER_VARIABLE, SETTINGS_VARIABLE, Assignment

_PLACEHOLDER = "none"  # the upstream's key is the gateway's; whoever asks for one is given this


class RunningSystem:
    """The running system, for the length of the block, with the ``settings`` of a folder or with its own.

    What its tasks print goes to ``output``.
    """

    def __init__(self, system: System, writer: Writer, output: Path, settings: Path | None = None) -> None:
        self._system, self._writer, self._output = system, writer, output
        self._settings = str(settings.absolute()) if settings else ""  # never those of our own environment

    async def __aenter__(self) -> RunningSystem:
        """Raises MeasurementInvalid: the system does not start."""
        self._channel = await JobChannel(lambda: self.interrupted, lambda: self._supervising.done()).__aenter__()
        argv = self._system.command_line(self._channel.socket, str(self._output.absolute()))
        told = {"OPENAI_API_KEY": _PLACEHOLDER, SETTINGS_VARIABLE: self._settings}
        environment = {**told, **self._system.environment}
        child = Child(self._system.name, argv, environment, phase="inference")
        self._supervisor = Supervisor(self._writer, [child])
        self._supervising = asyncio.create_task(self._supervisor.run())
        self._supervising.add_done_callback(lambda _: self._channel.connected.set())
        await self._channel.connected.wait()
        if self._supervisor.lost:
            await self.__aexit__()
            raise MeasurementInvalid(f"{self._system.name} does not start; what it said stands above")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._supervisor.stop()
        await self._supervising
        await self._channel.__aexit__()

    @property
    def interrupted(self) -> bool:
        """Whether we were told to stop, so that what is under way cannot end."""
        return self._supervisor.stopping and not self._supervisor.lost

    @property
    def interruption(self) -> KeyboardInterrupt:
        """What we were told to stop by."""
        return interruption(self._supervisor.stop_signal)

    async def run(self, name: str, task: Assignment, base_url: str, folder: TaskFolder, seconds: float) -> Outcome:
        """Give the system a task and wait for its end, ``seconds`` at most. Raises CancelledError if interrupted."""
        environment = {
            "OPENAI_BASE_URL": base_url,
            ANSWER_VARIABLE: str(folder.answer_file),
            FOLDER_VARIABLE: str(folder.files),
        }
        given = {**asdict(task), "base_url": base_url}
        return await self._channel.run(name, given, environment, folder.answer_file, seconds)

    def kill(self, name: str) -> None:
        """End a task that is under way."""
        self._channel.kill(name)
