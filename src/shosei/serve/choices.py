"""The answers to one request: one to each prompt, or ``n``. They are made side by side and read in one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from shosei.serve.generation import Generation
from shosei.text import Piece
from shosei.wire.openai_answers import ReasoningTokens, Usage


class Choices:
    """``generations`` of the same request, ``each`` of them to every prompt."""

    def __init__(self, generations: Sequence[Generation], each: int, has_thoughts: bool) -> None:
        self.generations, self._each, self._has_thoughts = generations, each, has_thoughts

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompts, each counted once."""
        return sum(generation.prompt_tokens for generation in self.generations[:: self._each])

    @property
    def completion_tokens(self) -> int:
        return sum(generation.completion_tokens for generation in self.generations)

    @property
    def usage(self) -> Usage:
        thoughts = sum(generation.reasoning_tokens for generation in self.generations)
        details = ReasoningTokens(thoughts) if self._has_thoughts else msgspec.UNSET
        return Usage(self.prompt_tokens, self.completion_tokens, self.prompt_tokens + self.completion_tokens, details)

    @property
    def first_piece_ns(self) -> int | None:
        return _least([generation.first_piece_ns for generation in self.generations])

    @property
    def first_answer_ns(self) -> int | None:
        """When the first piece came that is no thought."""
        return _least([generation.first_answer_ns for generation in self.generations])

    @property
    def last_piece_ns(self) -> int | None:
        return max((generation.last_piece_ns or 0 for generation in self.generations), default=0) or None

    async def pieces(self) -> AsyncGenerator[tuple[int, Piece | None], None]:
        """Pieces as they come, each with the number of its answer; None: this one has ended.

        Closing it cancels the engine's work. Raises EngineLost, GenerationFailed.
        """
        if len(self.generations) > 1:
            async with aclosing(self._side_by_side()) as pieces:
                async for numbered in pieces:
                    yield numbered
            return
        async with aclosing(self.generations[0].pieces()) as pieces:
            async for piece in pieces:
                yield 0, piece
        yield 0, None

    async def _side_by_side(self) -> AsyncGenerator[tuple[int, Piece | None], None]:
        queue: asyncio.Queue[tuple[int, Piece | Exception | None]] = asyncio.Queue()
        tasks = [
            asyncio.create_task(_fill(queue, number, generation)) for number, generation in enumerate(self.generations)
        ]
        running = len(tasks)
        try:
            while running:
                number, piece = await queue.get()
                if isinstance(piece, Exception):
                    raise piece
                running -= piece is None
                yield number, piece
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _fill(queue: asyncio.Queue[tuple[int, Piece | Exception | None]], number: int, answer: Generation) -> None:
    try:
        async with aclosing(answer.pieces()) as pieces:
            async for piece in pieces:
                queue.put_nowait((number, piece))
        queue.put_nowait((number, None))
    except Exception as error:
        queue.put_nowait((number, error))


def _least(times: Sequence[int | None]) -> int | None:
    return min((time for time in times if time is not None), default=None)
