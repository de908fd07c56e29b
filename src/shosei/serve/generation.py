"""One request as the engine sees it, and its tokens as text. Both endpoints and both modes go through here."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from shosei.engine.client import EngineClient
from shosei.serve.stops import StopFilter
from shosei.text import Tokenizer
from shosei.wire.openai import Request, Usage


class Generation:
    """An answer that is made while ``pieces`` is read; its counts and ``finish_reason`` are final afterwards."""

    def __init__(
        self, engine: EngineClient, tokenizer: Tokenizer, prompt: list[int], max_tokens: int, request: Request
    ) -> None:
        self._engine, self._tokenizer = engine, tokenizer
        self._prompt, self._max_tokens, self._request = prompt, max_tokens, request
        self.texts: list[str] = []  # what ``pieces`` has given so far
        self.completion_tokens = 0
        self.first_text_ns: int | None = None
        self.finish_reason = ""

    @property
    def prompt_tokens(self) -> int:
        return len(self._prompt)

    @property
    def usage(self) -> Usage:
        return Usage(self.prompt_tokens, self.completion_tokens, self.prompt_tokens + self.completion_tokens)

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The answer's text, in pieces of whole characters, up to a stop. Closing it cancels the engine's work.

        Raises EngineLost, GenerationFailed.
        """
        async with aclosing(self._until_stop()) as texts:
            async for text in texts:
                if text:
                    self.first_text_ns = self.first_text_ns or time.monotonic_ns()
                    self.texts.append(text)
                    yield text

    async def _until_stop(self) -> AsyncGenerator[str, None]:
        stops = StopFilter(self._request.stops)
        async with aclosing(self._decoded()) as texts:
            async for text in texts:
                yield stops.push(text)
                if stops.found:
                    self.finish_reason = "stop"
                    return
        yield stops.finish()

    async def _decoded(self) -> AsyncGenerator[str, None]:
        decoder, request, ends = self._tokenizer.stream(), self._request, self._tokenizer.end_ids
        tokens = self._engine.generate(
            self._prompt, self._max_tokens, request.temperature, request.top_p, request.seed, ends
        )
        async with aclosing(tokens):
            async for token in tokens:
                self.completion_tokens += 1
                self.finish_reason = token.finish
                if token.finish != "stop":
                    yield decoder.push(token.token)
        yield decoder.finish()
