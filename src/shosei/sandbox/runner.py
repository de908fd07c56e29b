"""Runs a program against its tests: the tests in one sandbox, the program in another, literals between them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import sys

import msgspec

from shosei.proc import oom_kills
from shosei.sandbox.config import SandboxConfig
from shosei.sandbox.packages import allowed
from shosei.sandbox.sandbox import End, LineSocket, Sandbox, SandboxError
from shosei.wire.suite import Task

OUTSIDE, IN_PROCESS = "outside", "in_process"
_SILENT = ("no reply", "no verdict")  # of a process that is ending, as a rule
_LAST_MOMENT_S = 0.2  # from the end of its sockets to its own
_VERDICTS = ("pass", "wrong", "exception", "out of memory", "wall timeout")


class Execution(msgspec.Struct, frozen=True):
    """``outcome`` as in the ``exec`` event; ``cpu_ns`` of the program, None where none ran.

    ``needs_objects``: why literals were not enough: ``argument`` or ``result``; empty if they were. ``untested``: the
    tests never call the program, so that they would pass any. ``needs``: the module that it lacked,
    as no allowed package has it.
    """

    outcome: str
    cpu_ns: int | None = None
    needs_objects: str = ""
    untested: bool = False
    needs: str = ""


class Runner:
    """A pair of sandboxes, for one program at a time. Use as an async context manager."""

    def __init__(self, config: SandboxConfig, backend: str) -> None:
        self.config, self.backend = config, backend
        self.packages = allowed(config.packages)

    async def __aenter__(self) -> Runner:
        """Raises SandboxError."""
        self._stack = contextlib.AsyncExitStack()
        try:
            self._tests = await self._stack.enter_async_context(self._sandbox())
            self._candidate = await self._stack.enter_async_context(self._sandbox())
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _sandbox(self) -> Sandbox:
        return Sandbox(self.backend, self.config.cpu_s, self.config.memory_bytes, self.packages)

    async def execute(self, code: str, task: Task, oracle: str = OUTSIDE, *, plain: bool = False) -> Execution:
        """Run the program ``code`` against the task's tests. With ``plain`` only literals count as its results.

        Cancelling ends it.

        Limits follow processor time; the wall limit is generous, for programs that wait. A sandbox that a program broke
        is replaced by a new one.
        """
        if not code:
            return Execution("no code")
        try:
            return await self._execute(code, task, oracle, plain)
        except SandboxError:
            await self._stack.aclose()
            if (current := asyncio.current_task()) and current.cancelling():
                raise asyncio.CancelledError from None
            try:
                await self.__aenter__()
            except SandboxError:
                return Execution("infra")
            return Execution("sandbox violation")  # it was well until the program ran

    async def _execute(self, code: str, task: Task, oracle: str, plain: bool) -> Execution:
        secret = secrets.token_hex(16)  # a verdict without it is the program's, where tests run in its process
        program = {"entry_point": task.entry_point, "code": code}
        tests = {"entry_point": task.entry_point, "tests": task.tests, "setup": task.setup, "test": task.test}
        tests["secret"] = secret
        kills = oom_kills()  # nothing else tells such an end from that of a program which kills itself
        here, there = socket.socketpair()
        with here, there:
            if oracle == IN_PROCESS:
                talks = [await self._tests.start(here, {"role": "both", "plain": plain, **tests, **program})]
            else:
                talks = [
                    await self._tests.start(here, {"role": "tests", **tests}),
                    await self._candidate.start(there, {"role": "candidate", **program}),
                ]
        verdict = ""
        try:
            verdict = await self._verdict(talks[0], secret)
        finally:
            # Also when cancelled: the sandboxes are to be ready for the next program.
            for talk in talks:
                talk.close()
            grace_s = _LAST_MOMENT_S if verdict in _SILENT else 0.0
            ends = [await sandbox.end(grace_s) for sandbox in (self._tests, self._candidate)[: len(talks)]]
        if verdict.startswith("needs "):
            return Execution("exception", ends[-1].cpu_ns, needs=self._not_allowed(verdict.removeprefix("needs ")))
        return _execution(verdict, ends, out_of_memory=oom_kills() != kills)

    def _not_allowed(self, module: str) -> str:
        """``module``, if it is one that could be allowed and is not."""
        known = module in self.packages.modules or module in sys.stdlib_module_names
        return module if module.isidentifier() and not known else ""

    async def _verdict(self, talk: LineSocket, secret: str) -> str:
        try:
            async with asyncio.timeout(self.config.wall_s):
                line = (await talk.read()).decode("utf-8", "replace")
        except TimeoutError:
            return "wall timeout"
        given, _, verdict = line.partition(" ")
        return verdict if secrets.compare_digest(given.encode(), secret.encode()) else "no verdict"


def _execution(verdict: str, ends: list[End], out_of_memory: bool) -> Execution:
    """Make the outcome of the verdict of the tests and of how the tests and the candidate ended."""
    candidate = ends[-1]
    match verdict:
        case "not plain argument" | "not plain result":
            return Execution("wrong", candidate.cpu_ns, verdict.rpartition(" ")[2])
        case "untested":
            return Execution("infra", candidate.cpu_ns, untested=True)
        case "no reply":
            return Execution(_unfinished(candidate, out_of_memory), candidate.cpu_ns)
        case "no verdict":
            return Execution(_unfinished(ends[0], out_of_memory), candidate.cpu_ns)
    return Execution(verdict if verdict in _VERDICTS else "exception", candidate.cpu_ns)


def _unfinished(end: End, out_of_memory: bool) -> str:
    """Why a process ended, or was ended, before it had said what it should."""
    # The filter's signal, which a program cannot send to itself; or a flood of threads.
    if end.signal == signal.SIGSYS or end.cause == "threads":
        return "sandbox violation"
    if end.cause == "cpu":
        return "cpu timeout"
    if not end.signal or (end.signal == signal.SIGKILL and end.cause == "stop"):
        return "exception"
    return "out of memory" if end.signal == signal.SIGKILL and out_of_memory else "killed by signal"
