"""The connection to the engine: what is in flight on it, and what becomes of that when the engine dies."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import math
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from shosei.engine.client import EngineClient, EngineLost, GenerationFailed
from shosei.engine.protocol import AnswerMessage, PromptScores, Submit, Token, is_last
from shosei.serve.counters import Counters, EngineLoad
from shosei.wire.api_error import ApiError

QUARANTINED = "quarantined"
_CONNECT_S = 1.0
_PROBE_S = 3.0
_QUARANTINE_S = 600.0
_SUSPECT_S = 600.0
_KEPT = 1024  # of each kind; the oldest are forgotten

_encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True, eq=False)
class InFlight:
    """A request that the engine has: what it is known by, on which connection, and its tokens, prompt and answer."""

    key: bytes
    client: EngineClient
    tokens: int
    last_token_s: float | None = None

    def next_token(self) -> float | None:
        """Count one more; the seconds since the one before, if there was one."""
        now_s, before_s = time.perf_counter(), self.last_token_s
        self.tokens, self.last_token_s = self.tokens + 1, now_s
        return None if before_s is None else now_s - before_s


class EngineLink:
    """The front's connection to the engine at ``socket``, made again when the engine comes back.

    Knows what is in flight; what dies with the engine twice is kept from it.
    """

    def __init__(self, socket: Path, counters: Counters) -> None:
        self._socket, self._counters = socket, counters
        self._client: EngineClient | None = None
        self._connecting: asyncio.Task[EngineClient] | None = None
        self._quarantine = Quarantine()
        self._in_flight: dict[InFlight, None] = {}  # in the order in which the engine got them
        self._blamed: EngineClient | None = None  # the last one whose requests were
        self._counted: EngineClient | None = None  # the last one that was counted as a restart
        counters.watch(self.load)

    def load(self) -> EngineLoad:
        """What the engine does now, as far as the front can tell: it starts the oldest requests first."""
        if self._client is None or self._client.lost:
            return EngineLoad(0, len(self._in_flight), 0.0)
        hello = self._client.hello
        running = self._running()
        held = sum(request.tokens for request in running)
        return EngineLoad(len(running), len(self._in_flight) - len(running), min(held / hello.cache_tokens, 1.0))

    def _running(self) -> list[InFlight]:
        slots = self._client.hello.slots if self._client else 0
        return list(itertools.islice(self._in_flight, slots))

    async def submit(self, request: Submit) -> AsyncGenerator[Token | PromptScores, None]:
        """As ``EngineClient.submit``; ``answered`` is to follow. Raises ApiError too: for a request that the engine has
        died of."""
        key = key_of(request)
        async with self._quarantine.admitted(key):
            client = await self.client()
            flight = InFlight(key, client, len(request.prompt))
            self._in_flight[flight] = None
            try:
                async with aclosing(client.submit(request, partial(self._hear, flight))) as messages:
                    async for message in messages:
                        yield message
            except GenerationFailed:
                self._quarantine.clear(key)  # the engine has refused it, and lives
                raise
            finally:
                self._in_flight.pop(flight, None)

    def _hear(self, flight: InFlight, message: AnswerMessage | None) -> None:
        """As it comes: whoever reads it may be slow, and then the engine has long been at other requests."""
        if message is None:
            self._blame(flight.client)
            return
        if isinstance(message, Token):
            if flight.last_token_s is None:
                self._counters.prompt_read(flight.tokens, message.reused)
            self._counters.token(flight.next_token(), message.preempted)
        if is_last(message):
            self._in_flight.pop(flight, None)

    def _blame(self, client: EngineClient) -> None:
        """Once a connection: whatever the lost engine was at may have been its end."""
        if client is self._blamed:
            return
        self._blamed = client
        running = itertools.islice((it for it in self._in_flight if it.client is client), client.hello.slots)
        self._quarantine.blame({it.key for it in running})

    async def client(self) -> EngineClient:
        """The living connection. Raises EngineLost if there is none and none can be made at once."""
        if self._client is None or self._client.lost:
            before = self._client
            try:
                self._client = await asyncio.shield(self._connection())
            except EngineLost:
                raise EngineLost("The engine does not answer: it is loading, lost or hanging") from None
            if before is not None and self._client is not self._counted:
                self._counters.engine_restarts.inc()
                self._counted = self._client
        return self._client

    def _connection(self) -> asyncio.Task[EngineClient]:
        """The attempt to connect that is under way, or whose connection nobody stayed to take; or else another."""
        attempt = self._connecting
        if attempt is None or (attempt.done() and (attempt.exception() or attempt.result().lost)):
            attempt = self._connecting = asyncio.create_task(EngineClient.connect(self._socket, _CONNECT_S))
        return attempt

    def answered(self, request: Submit) -> None:
        """Its answer is whole, and the engine lives."""
        self._quarantine.clear(key_of(request))

    async def probe(self, token: int) -> None:
        """Decode one token for real, after ``token``. Raises ApiError (503) that says why it was impossible."""
        try:
            engine = await self.client()
            async with asyncio.timeout(_PROBE_S), aclosing(engine.generate([token], max_tokens=1)) as tokens:
                await anext(tokens)
        except TimeoutError:
            reason = f"the engine made no token within {_PROBE_S:g} s: it hangs or is overloaded"
        except (EngineLost, GenerationFailed) as error:
            reason = str(error)
        else:
            return
        raise ApiError(503, reason, code="not_ready", retry_after_s=1)

    async def close(self) -> None:
        if self._connecting:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError, EngineLost):
                await (await self._connecting).close()


class Quarantine:
    """Which requests may reach the engine: one that it died of twice in a row is refused for a while.

    All that an engine was at when it died are suspects. The engine gets one suspect at a time, so that the next death
    tells who is guilty; whoever is answered is none any more.
    """

    def __init__(self) -> None:
        self._suspects: OrderedDict[bytes, float] = OrderedDict()  # until when, by the monotonic clock
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._one_suspect = asyncio.Lock()

    @asynccontextmanager
    async def admitted(self, key: bytes) -> AsyncGenerator[None, None]:
        """Wait until a request may go to the engine. Raises ApiError where it may not."""
        self._check(key)
        if not _holds(self._suspects, key):
            yield
            return
        async with self._one_suspect:
            self._check(key)  # one of the same words may have gone before
            yield

    def blame(self, keys: Iterable[bytes]) -> None:
        """The engine died at these requests."""
        for key in keys:
            if _holds(self._suspects, key):
                del self._suspects[key]
                _add(self._refused, key, _QUARANTINE_S)
            else:
                _add(self._suspects, key, _SUSPECT_S)

    def clear(self, key: bytes) -> None:
        """The engine has answered such a request, and lives."""
        self._suspects.pop(key, None)

    def _check(self, key: bytes) -> None:
        if _holds(self._refused, key):
            left_s = self._refused[key] - time.monotonic()
            raise ApiError(
                400,
                "The engine died twice while it answered this request, which is refused for another "
                f"{math.ceil(left_s / 60)} min: change it, and tell who runs this server",
                code=QUARANTINED,
            )


def key_of(request: Submit) -> bytes:
    """What all requests have in common that ask the engine for the same: nothing of its words can be read in it."""
    return hashlib.sha256(_encode(msgspec.structs.replace(request, id=0))).digest()


def _holds(until: OrderedDict[bytes, float], key: bytes) -> bool:
    """Whether ``key`` is there and its time has not run out."""
    if key in until and until[key] <= time.monotonic():
        del until[key]
    return key in until


def _add(until: OrderedDict[bytes, float], key: bytes, seconds: float) -> None:
    until[key] = time.monotonic() + seconds
    if len(until) > _KEPT:
        until.popitem(last=False)
