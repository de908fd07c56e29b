"""A command as the judge of tasks: it looks at what a task left, and its exit code is the verdict."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from shosei.errors import InputError, MeasurementInvalid
from shosei.log import Exec, Note, Writer
from shosei.metrics.grading.grade import COMMAND
from shosei.sandbox.command_wall import prove_command_wall, walled
from shosei.systems.config import AgentsConfig
from shosei.systems.job_channel import JobChannel, Outcome
from shosei.systems.reason import is_exception
from shosei.systems.system import System
from shosei.wire.suite import Task
from shosei.wire.system import FOLDER_VARIABLE, Assignment

_POLL_S = 0.02
_START_S = 60.0
_SOLVED, _NOT_SOLVED = 0, 1  # exit codes
_NO_FILE = Path("/dev/null")  # a grader has no answer file: all that it prints is a log


@dataclass(frozen=True)
class CommandGrader:
    """``command`` as the user wrote it; ``argv`` is what is run for each task, behind a wall of ``level``, if any."""

    command: str
    argv: Sequence[str]
    backend: str
    level: str
    seconds: float


def command_grader(config: AgentsConfig) -> CommandGrader | None:
    """The grader of ``config``, its wall proven; None if it names none. Raises InputError if it cannot be run."""
    if not config.grade_with:
        return None
    try:
        argv = shlex.split(config.grade_with)
    except ValueError as error:
        raise InputError(f"--grade-with {config.grade_with}: {error}", param="grade_with") from None
    if not argv or shutil.which(argv[0]) is None:
        raise InputError(f"--grade-with: no program is called '{''.join(argv[:1])}'", param="grade_with")
    if config.grader_sandbox == "none":
        return CommandGrader(config.grade_with, argv, "none", "none", config.grader_seconds)
    proof, behind = prove_command_wall(), walled(argv, FOLDER_VARIABLE)
    return CommandGrader(config.grade_with, behind, proof.backend, proof.level, config.grader_seconds)


def judged_by_command(tasks: Sequence[Task], config: AgentsConfig) -> list[Task]:
    """``tasks`` as they are judged: with ``grade_with``, all by that command. Raises InputError: some need one."""
    if config.grade_with:
        return [msgspec.structs.replace(task, grader=COMMAND) for task in tasks]
    if waiting := sum(task.grader == COMMAND for task in tasks):
        raise InputError(f"{waiting} tasks are judged by a command: name it with --grade-with 'CMD ...'")
    return list(tasks)


class RunningGrader:
    """A process of its own that runs ``grader`` for task after task. Use as an async context manager.

    Verdicts become ``exec`` events, what it prints goes to ``output``, and warnings tell of answers without a verdict.
    """

    def __init__(self, grader: CommandGrader, writer: Writer, output: Path) -> None:
        self._grader, self._writer, self._output = grader, writer, output
        self._channel = JobChannel(over=lambda: True)
        self._verdicts, self._unjudged, self._raised = 0, list[str](), list[str]()

    async def __aenter__(self) -> RunningGrader:
        """Raises MeasurementInvalid: its process does not start."""
        await self._channel.__aenter__()
        system = System("grader", ("--command", "--", *self._grader.argv))
        argv = system.command_line(self._channel.socket, str(self._output.absolute()))
        try:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        except OSError:
            await self._channel.__aexit__()
            raise
        try:
            if not await self._connects():
                raise MeasurementInvalid("the grader's process does not start")
        except BaseException:  # Ctrl-C too: nothing of it is left
            self._process.kill()
            await self.__aexit__()
            raise
        return self

    async def _connects(self) -> bool:
        """Wait for the process, which may also end at once; whether it is there."""
        until = time.monotonic() + _START_S
        while not self._channel.connected.is_set() and self._process.poll() is None and time.monotonic() < until:
            await asyncio.sleep(_POLL_S)
        return self._channel.connected.is_set()

    async def __aexit__(self, *_: object) -> None:
        await self._channel.__aexit__()  # it ends with its connection
        await asyncio.to_thread(self._process.wait)
        for text in self._warnings():
            self._writer.emit(Note(level="warning", text=text, phase="inference"))

    async def judge(self, task: Task, sample: int, given: Assignment, answer: str) -> None:
        """Run the grader on what a task left in its folder and on its ``answer``, and write down its verdict."""
        looked_at = {
            **asdict(given),
            "suite": task.suite,
            "sample": sample,
            "truth": task.truth,
            "references": task.references,
            "answer": answer,
        }
        environment, name = {FOLDER_VARIABLE: given.folder}, f"grader of {task.id}#{sample}"
        outcome = await self._channel.run(name, looked_at, environment, _NO_FILE, self._grader.seconds)
        verdict = Exec(
            suite=task.suite,
            item=task.id,
            sample=sample,
            backend=self._grader.backend,
            level=self._grader.level,
            oracle=COMMAND,
            outcome=self._verdict(outcome),
            program=self._grader.command,
            task=f"{task.id}#{sample}",
        )
        self._writer.emit(verdict)

    def _verdict(self, outcome: Outcome) -> str:
        """``pass``, ``wrong``, or why there is none."""
        self._verdicts += 1
        if outcome.error != "timeout" and outcome.code == _SOLVED:
            return "pass"
        if outcome.error != "timeout" and outcome.code == _NOT_SOLVED:
            if is_exception(outcome.message) and not outcome.message.startswith("AssertionError"):
                self._raised.append(outcome.message)
            return "wrong"
        reason = f"no verdict within {self._grader.seconds:g} s" if outcome.error == "timeout" else outcome.message
        if outcome.code is not None and outcome.code > 0 and not reason.startswith("exit code"):
            reason = f"exit code {outcome.code}: {reason}"
        self._unjudged.append(reason)
        return reason

    def _warnings(self) -> list[str]:
        warnings = []
        if self._unjudged:
            count = f"{len(self._unjudged)} of {self._verdicts} answers were not judged"
            warnings.append(f"{count}: the grader '{self._grader.command}' gave no verdict ({self._unjudged[0]})")
        if self._raised:
            count = f"{len(self._raised)} answers count as not solved because the grader ended by an exception"
            warnings.append(f"{count} ({self._raised[0]}); let it exit with 2 where it cannot judge")
        return warnings
