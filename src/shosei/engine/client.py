"""The engine's client: many requests at once over one connection. Imports no torch."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import msgspec

from shosei.engine.protocol import (
    AnswerMessage,
    Cancel,
    EngineMessage,
    Failed,
    FrameDecoder,
    Grammar,
    Hello,
    PromptScores,
    ProtocolError,
    Submit,
    Token,
    frame,
    is_last,
)

_READ_BYTES = 1 << 16
_RETRY_S = 0.05

Listener = Callable[[AnswerMessage | None], object]


class EngineLost(Exception):
    """The engine process is gone, or cannot be reached. Connect again once it is back."""


class GenerationFailed(Exception):
    """The engine refused or gave up one request; ``kind`` as in ``protocol.Failed``."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class EngineClient:
    """One connection. Make it with ``connect``; every method belongs to the event loop that connected it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: Hello) -> None:
        self.hello = hello
        self.lost = False
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Listener] = {}
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def connect(cls, path: Path, timeout: float) -> EngineClient:
        """Wait up to ``timeout`` seconds for the engine at ``path`` to accept and greet. Raises EngineLost."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    with contextlib.suppress(OSError, EngineLost, ProtocolError):
                        return await cls._connect_once(path)
                    await asyncio.sleep(_RETRY_S)
        except TimeoutError:
            raise EngineLost(f"no engine answers at {path} after {timeout:g} s") from None

    @classmethod
    async def _connect_once(cls, path: Path) -> EngineClient:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            decoder = FrameDecoder[EngineMessage](EngineMessage)
            messages: list[EngineMessage] = []
            while not messages:
                messages = decoder.feed(await _read_some(reader))
            if not isinstance(messages[0], Hello):
                raise ProtocolError("the engine did not greet")
            return cls(reader, writer, messages[0])
        except BaseException:
            writer.close()
            raise

    async def generate(
        self,
        prompt: Sequence[int],
        max_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop_ids: Sequence[int] = (),
        grammar: Grammar | None = None,
    ) -> AsyncGenerator[Token, None]:
        """Yield tokens up to one with a ``finish``. Closing the generator early cancels the request.

        Raises GenerationFailed when the engine refuses the request, EngineLost when the engine goes away.
        """
        request = Submit(0, list(prompt), max_tokens, temperature, top_p, seed, list(stop_ids), grammar)
        async with contextlib.aclosing(self.submit(request)) as tokens:
            async for token in tokens:
                if isinstance(token, Token):
                    yield token

    async def submit(
        self, request: Submit, listener: Listener | None = None
    ) -> AsyncGenerator[Token | PromptScores, None]:
        """As ``generate``, for all that a request may ask; its id is chosen here.

        ``listener`` hears each message as it comes, however late that is then read, and None where the engine goes
        away.
        """
        if self.lost:
            raise EngineLost("the engine's connection is closed")
        number = next(self._numbers)
        try:
            submit = frame(msgspec.structs.replace(request, id=number))
        except (OverflowError, ProtocolError) as error:
            raise GenerationFailed(f"the request does not fit a message: {error}", "invalid_request") from None
        messages: asyncio.Queue[AnswerMessage | None] = asyncio.Queue()

        def take(message: AnswerMessage | None) -> None:
            messages.put_nowait(message)
            if listener:
                listener(message)

        self._waiting[number] = take
        self._writer.write(submit)
        finished = False
        try:
            while not finished:
                message = await messages.get()
                if message is None:
                    raise EngineLost("the engine went away in the middle of an answer")
                finished = is_last(message)
                if isinstance(message, Failed):
                    raise GenerationFailed(message.message, message.kind)
                yield message
        finally:
            del self._waiting[number]
            if not finished and not self.lost:
                self._writer.write(frame(Cancel(number)))

    async def close(self) -> None:
        """Close the connection; the engine cancels what still runs for it."""
        self._reading.cancel()
        self._drop()
        await asyncio.gather(self._reading, return_exceptions=True)
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = FrameDecoder[EngineMessage](EngineMessage)
        try:
            while True:
                for message in decoder.feed(await _read_some(reader)):
                    if not isinstance(message, Hello) and message.id in self._waiting:
                        self._waiting[message.id](message)
        except (EngineLost, ProtocolError, OSError):
            self._drop()

    def _drop(self) -> None:
        self.lost = True
        self._writer.close()
        for take in self._waiting.values():
            take(None)


async def _read_some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(_READ_BYTES)
    if not data:
        raise EngineLost("the engine closed the connection")
    return data
