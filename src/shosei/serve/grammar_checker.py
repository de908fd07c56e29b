"""Whether answers can be held to what a request asks for, tried in a process that may hang, grow and be killed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import sys
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from shosei.engine.grammar import require_library
from shosei.engine.grammar_process import Result, Trial
from shosei.serve.errors import check_unicode
from shosei.wire.api_error import ApiError
from shosei.wire.openai import RequestBody

MOST_WAITING = 64
MOST_OF_ONE = 48  # of these, so that one client cannot fill the queue
WAIT_S = 20.0
_START_S = 60.0
_MAX_LINE_BYTES = 1 << 26  # of an answer: a grammar of the largest body, in Lark, as JSON
_KEPT = 1024  # results
_LONGEST_KEPT = 1 << 16  # characters of a grammar in Lark that one has
_KEPT_LIMIT_S = 60.0  # a busy moment must not refuse a grammar for ever
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Result).decode


@dataclass(frozen=True, slots=True)
class GrammarLimits:
    """What all the rules of one request may take: seconds, and bytes beyond those of the empty process."""

    time_s: float = 2.0
    memory_bytes: int = 512 << 20


class Rule(msgspec.Struct, frozen=True):
    """What a field of the request, ``param``, asks of the answer; ``problem`` is said before the reason why not."""

    trial: Trial
    param: str
    problem: str = "answers cannot be held to this"


class GrammarChecker:
    """The one process that tries the grammars of all requests, by turns; started at the first, and after each kill.

    What was tried is remembered, so that a grammar which comes again needs no turn. Belongs to one event loop.
    """

    def __init__(self, model_folder: Path, limits: GrammarLimits | None = None) -> None:
        self._folder, self._limits = model_folder, limits or GrammarLimits()
        self._turns = Turns("the check of grammars")
        self._starting: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._results: OrderedDict[bytes, tuple[float, Result]] = OrderedDict()

    async def check(self, rules: Sequence[Rule], client: str) -> Result:
        """What came of the last one; the others are right too. A caller that is cancelled has its trial killed.

        Raises ApiError: 400 that names the field whose rule is no grammar or passes a limit, 429 or 503 where too many
        wait. Raises InputError without llguidance.
        """
        if not all(self._kept(rule.trial) for rule in rules):
            async with self._turns.turn(client):
                return await self._check(rules)
        return await self._check(rules)

    async def in_lark(self, request: RequestBody, client: str) -> None:
        """Have the grammar that ``request`` brings, in GBNF or Lark, in Lark from now on. Raises as ``check``."""
        for holder, field, param in (
            (request.structured_outputs, "grammar", "structured_outputs.grammar"),
            (request, "guided_grammar", "guided_grammar"),
        ):
            if (text := getattr(holder, field, None)) is not None:
                check_unicode(text, param)
                result = await self.check([Rule(Trial(text, convert=True), param)], client)
                setattr(holder, field, result.lark)

    async def close(self) -> None:
        """End the process."""
        if self._starting:
            await self._kill()

    async def _check(self, rules: Sequence[Rule]) -> Result:
        result, end = Result(), None
        for rule in rules:
            known = self._kept(rule.trial)
            if known is None:
                process = await self._process()
                end = end or asyncio.get_running_loop().time() + self._limits.time_s
                known = await self._tried(process, rule.trial, end)
            result = known
            if result.fault:
                raise ApiError(400, f"{rule.param}: {rule.problem}: {result.fault}", param=rule.param)
        return result

    async def _tried(self, process: asyncio.subprocess.Process, trial: Trial, deadline: float) -> Result:
        assert process.stdin
        assert process.stdout
        try:
            async with asyncio.timeout_at(deadline):
                process.stdin.write(_encode(trial) + b"\n")
                await process.stdin.drain()
                result, kept_s = _decode(await process.stdout.readline()), float("inf")
        except TimeoutError:
            await self._kill()
            fault = f"it takes longer than {self._limits.time_s:g} s to compile: simplify it"
            result, kept_s = Result(fault), _KEPT_LIMIT_S
        except (OSError, msgspec.DecodeError):  # the process has ended
            if await process.wait() == -signal.SIGKILL:
                raise ApiError(503, "the check of grammars was killed: try again", retry_after_s=1) from None
            memory = self._limits.memory_bytes >> 20
            fault = f"it takes more than {memory} MiB to compile, or breaks the compiler: simplify it"
            result, kept_s = Result(fault), _KEPT_LIMIT_S
        except BaseException:
            await self._kill()
            raise
        self._keep(trial, result, kept_s)
        return result

    async def _process(self) -> asyncio.subprocess.Process:
        """The process, once it is ready. A caller that is cancelled leaves it starting, for the next one."""
        if self._starting is None or (self._starting.done() and not _lives(self._starting)):
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> asyncio.subprocess.Process:
        require_library()
        arguments = (str(os.getpid()), str(self._folder), str(self._limits.memory_bytes))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "shosei.engine.grammar_process",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # what the library says as it runs out of memory
            limit=_MAX_LINE_BYTES,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # its threads' stacks would count as memory
        )
        assert process.stdout
        try:
            async with asyncio.timeout(_START_S):
                if not await process.stdout.readline():
                    raise RuntimeError(f"the process for grammars ended as it started: {await process.wait()}")
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        return process

    async def _kill(self) -> None:
        """End the process; the next trial starts another."""
        starting, self._starting = self._starting, None
        if starting is None:
            return
        starting.cancel()
        if starting.done() and _lives(starting):
            starting.result().kill()
            await starting.result().wait()

    def _kept(self, trial: Trial) -> Result | None:
        until, result = self._results.get(_digest(trial), (0.0, None))
        return result if time.monotonic() < until else None

    def _keep(self, trial: Trial, result: Result, seconds: float) -> None:
        if len(result.lark) > _LONGEST_KEPT:
            return
        key = _digest(trial)
        self._results[key] = time.monotonic() + seconds, result
        self._results.move_to_end(key)
        if len(self._results) > _KEPT:
            self._results.popitem(last=False)


def _lives(starting: asyncio.Task[asyncio.subprocess.Process]) -> bool:
    return not starting.cancelled() and not starting.exception() and starting.result().returncode is None


def _digest(trial: Trial) -> bytes:
    return hashlib.sha256(_encode(trial)).digest()


class Turns:
    """A bounded queue before ``what``, which one request at a time can have: clients take turns, however many requests
    each has waiting. Belongs to one event loop."""

    def __init__(self, what: str, most: int = MOST_WAITING, most_of_one: int = MOST_OF_ONE, wait_s: float = WAIT_S):
        self._what, self._most, self._most_of_one, self._wait_s = what, most, most_of_one, wait_s
        self._taken = False
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()  # the first client is next

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Wait for a turn, which lasts for the block; whoever is cancelled meanwhile frees its place at once.

        Raises ApiError: 429 where too many wait already, 503 where the turn does not come within ``wait_s``.
        """
        if self._taken:
            await self._wait(client)
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, client: str) -> None:
        own = self._waiting.get(client, deque())
        if len(own) >= self._most_of_one or sum(map(len, self._waiting.values())) >= self._most:
            raise ApiError(429, f"too many requests wait for {self._what}: try again later", retry_after_s=1)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, own).append(turn)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # it came too late
            self._leave(client, turn)
            if isinstance(error, TimeoutError):
                message = f"{self._what} had no turn for this within {self._wait_s:g} s: try again later"
                raise ApiError(503, message, retry_after_s=5) from None
            raise

    def _pass_on(self) -> None:
        self._taken = False
        while self._waiting and not self._taken:
            client, own = self._waiting.popitem(last=False)
            turn = own.popleft()
            if own:
                self._waiting[client] = own
            if not turn.done():
                self._taken = True
                turn.set_result(None)

    def _leave(self, client: str, turn: asyncio.Future[None]) -> None:
        own = self._waiting.get(client, deque())
        if turn in own:
            own.remove(turn)
        if not own:
            self._waiting.pop(client, None)
