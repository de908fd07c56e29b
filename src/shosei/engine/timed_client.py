"""A client that measures an engine: it blocks, and notes when each token came. Imports no torch."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from shosei.engine.client import EngineLost, GenerationFailed
from shosei.engine.protocol import EngineMessage, Failed, FrameDecoder, Grammar, Hello, Submit, Token, frame
from shosei.wire.timed_stream import TimedStream

_READ_BYTES = 1 << 16
_RETRY_S = 0.01
_GONE = "the engine has closed the connection"


@dataclass(slots=True)
class EngineStream(TimedStream):
    """An answer with its tokens' ids; ``finish`` as in ``protocol.Token``."""

    tokens: list[int] = field(default_factory=list)
    finish: str = ""


class TimedClient:
    """One connection, as a context manager. While it reads it does nothing else: it shares the engine's cores."""

    def __init__(self, connection: socket.socket) -> None:
        """Wait for the greeting. Raises EngineLost."""
        self._connection = connection
        self._decoder = FrameDecoder[EngineMessage](EngineMessage)
        self._numbers = itertools.count(1)
        self._streams: dict[int, EngineStream] = {}
        messages: list[EngineMessage] = []
        while not messages:
            messages = self._receive()
        if not isinstance(messages[0], Hello):
            raise EngineLost("the engine did not greet")
        self.hello = messages[0]

    @classmethod
    def connect(cls, path: Path, alive: Callable[[], bool], timeout: float) -> TimedClient:
        """The client of the engine at ``path``, once that listens.

        Raises EngineLost where it is no longer ``alive``, or after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while alive() and time.monotonic() < deadline:
            connection = socket.socket(socket.AF_UNIX)
            with suppress(FileNotFoundError, ConnectionRefusedError):
                connection.connect(os.fspath(path))
                return cls(connection)
            connection.close()
            time.sleep(_RETRY_S)
        raise EngineLost(f"no engine answers at {path}")

    def __enter__(self) -> TimedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def submit(self, prompt: Sequence[int], max_tokens: int, grammar: Grammar | None = None) -> EngineStream:
        """Have ``prompt`` continued, greedily and to the end; the stream fills while ``read_until`` reads. Raises
        EngineLost."""
        number = next(self._numbers)
        request = frame(Submit(number, list(prompt), max_tokens, grammar=grammar))
        stream = self._streams[number] = EngineStream(time.monotonic(), len(prompt))
        try:
            self._connection.sendall(request)
        except ConnectionError:
            raise EngineLost(_GONE) from None
        return stream

    def answers(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> list[EngineStream]:
        """The whole answers to ``prompts``, asked for at once. Raises as ``read_until``."""
        streams = [self.submit(prompt, max_tokens) for prompt in prompts]
        self.read_until(lambda: all(stream.finish for stream in streams))
        return streams

    def read_until(self, condition: Callable[[], bool]) -> None:
        """Take tokens until ``condition`` holds. Raises GenerationFailed for a request that failed, EngineLost."""
        while not condition():
            messages, now = self._receive(), time.monotonic()
            for message in messages:
                if isinstance(message, Failed):
                    raise GenerationFailed(message.message, message.kind)
                if isinstance(message, Token):
                    self._take(message, now)

    def _take(self, token: Token, now: float) -> None:
        stream = self._streams[token.id]
        stream.times.append(now)
        stream.tokens.append(token.token)
        if token.finish:
            stream.finish = token.finish
            del self._streams[token.id]

    def _receive(self) -> list[EngineMessage]:
        with suppress(ConnectionError):  # as where it is killed before it has read what was asked
            if data := self._connection.recv(_READ_BYTES):
                return self._decoder.feed(data)
        raise EngineLost(_GONE)
