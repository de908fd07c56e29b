"""One request as the engine sees it, and its tokens as text. Both endpoints and both modes go through here."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from shosei.engine.client import EngineClient
from shosei.serve.prompt import Prompt
from shosei.text import AnswerReader, Piece, Tokenizer
from shosei.text.streaming import StopFilter
from shosei.wire.openai import RequestBody, Usage


class Generation:
    """An answer that is made while ``pieces`` is read; its counts and ``finish_reason`` are final afterwards."""

    def __init__(
        self, engine: EngineClient, tokenizer: Tokenizer, prompt: Prompt, max_tokens: int, request: RequestBody
    ) -> None:
        self._engine, self._tokenizer = engine, tokenizer
        self._prompt, self._max_tokens, self._request = prompt, max_tokens, request
        self.texts: list[str] = []  # words that ``pieces`` has given so far
        self.completion_tokens = 0
        self.first_piece_ns: int | None = None
        self.last_piece_ns: int | None = None
        self.finish_reason = ""

    @property
    def prompt_tokens(self) -> int:
        return len(self._prompt.ids)

    @property
    def usage(self) -> Usage:
        return Usage(self.prompt_tokens, self.completion_tokens, self.prompt_tokens + self.completion_tokens)

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The answer's words, in pieces of whole characters, up to a stop, and its calls. Closing it cancels the
        engine's work.

        Raises EngineLost, GenerationFailed.
        """
        called = False
        async with aclosing(self._until_stop()) as pieces:
            async for piece in pieces:
                if not piece:
                    continue
                self.last_piece_ns = time.monotonic_ns()
                self.first_piece_ns = self.first_piece_ns or self.last_piece_ns
                if isinstance(piece, str):
                    self.texts.append(piece)
                else:
                    called = True
                yield piece
        if called and self.finish_reason == "stop":
            self.finish_reason = "tool_calls"

    async def _until_stop(self) -> AsyncGenerator[Piece, None]:
        """Stops are looked for in words alone."""
        stops = StopFilter(self._request.stops)
        async with aclosing(self._read()) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    yield stops.push(piece)
                    if stops.found:
                        self.finish_reason = "stop"
                        return
                else:
                    yield stops.finish()
                    yield piece
        yield stops.finish()

    async def _read(self) -> AsyncGenerator[Piece, None]:
        reader = AnswerReader(self._tokenizer, self._prompt.calls)
        request, ends = self._request, self._tokenizer.end_ids
        tokens = self._engine.generate(
            self._prompt.ids,
            self._max_tokens,
            request.temperature,
            request.top_p,
            request.seed,
            ends,
            self._prompt.grammar,
        )
        async with aclosing(tokens):
            async for token in tokens:
                self.completion_tokens += 1
                self.finish_reason = token.finish
                if token.finish != "stop":
                    for piece in reader.push(token.token):
                        yield piece
        for piece in reader.finish():
            yield piece
