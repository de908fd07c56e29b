"""The answers to one request while they are made: each as the engine's tokens and as text, all read in one stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

import msgspec

from shosei.engine.protocol import LogitRules, PromptScores, Submit, TokenScore
from shosei.serve.engine_link import EngineLink
from shosei.serve.prompt import Prompt
from shosei.text import AnswerReader, Piece, ThoughtPiece, Tokenizer
from shosei.text.generation import SamplingDefaults
from shosei.text.streaming import StopFilter
from shosei.text.thoughts import ThoughtFilter
from shosei.wire.openai import RequestBody
from shosei.wire.openai_answers import CachedTokens, ReasoningTokens, Usage

_NO_RULES = LogitRules()


class Scored(NamedTuple):
    """A token with its score; the first of a prompt has none."""

    token: int
    score: TokenScore | None
    text: bytes  # what stands for it in the text of the answer


def engine_request(
    body: RequestBody, prompt: Prompt, max_tokens: int, tokenizer: Tokenizer, defaults: SamplingDefaults
) -> Submit:
    """What the engine is asked; where ``body`` says nothing of sampling, ``defaults`` do."""

    def stated(name: str) -> float:
        value = getattr(body, name)
        return float(getattr(defaults, name) if value is None else value)

    penalties = stated("repetition_penalty"), body.presence_penalty, body.frequency_penalty
    rules = LogitRules(*penalties, body.logit_bias, body.min_tokens)
    return Submit(
        id=0,
        prompt=prompt.ids,
        max_tokens=max(max_tokens, 1),
        temperature=stated("temperature"),
        top_p=stated("top_p"),
        seed=body.seed,
        stop_ids=[*([] if body.ignore_eos else tokenizer.end_ids), *body.stop_token_ids],
        grammar=prompt.grammar,
        top_k=max(int(stated("top_k")), 0),
        min_p=stated("min_p"),
        rules=None if rules == _NO_RULES else rules,
        alternatives=body.alternatives,
        score_prompt=bool(prompt.echo) and body.alternatives is not None,
    )


class Generation:
    """An answer that is made while ``pieces`` is read; its counts and ``finish_reason`` are final afterwards.

    ``number`` makes it differ from other answers to the same request, which have the same seed.
    """

    def __init__(
        self,
        engine: EngineLink,
        tokenizer: Tokenizer,
        prompt: Prompt,
        max_tokens: int,
        body: RequestBody,
        defaults: SamplingDefaults,
        number: int = 0,
    ) -> None:
        self._engine, self._tokenizer = engine, tokenizer
        self._prompt, self._max_tokens, self._body = prompt, max_tokens, body
        self._asked = engine_request(body, prompt, max_tokens, tokenizer, defaults)
        if body.seed is not None:
            self._asked = msgspec.structs.replace(self._asked, seed=_wrapped(body.seed + number))
        thoughts = ThoughtFilter(prompt.within_thought) if prompt.has_thoughts else None
        self._reader = AnswerReader(tokenizer, prompt.calls, thoughts)
        self.texts: list[str] = []  # words that ``pieces`` has given so far
        self.scored: list[Scored] = []  # what came since it was last taken away
        self.prompt_tokens, self.completion_tokens, self.reasoning_tokens = len(prompt.ids), 0, 0
        self.cached_tokens = 0  # of the prompt's
        self.first_piece_ns: int | None = None
        self.first_answer_ns: int | None = None  # of the first piece that is no thought
        self.last_piece_ns: int | None = None
        self.finish_reason = ""

    def take_scored(self) -> list[Scored]:
        """The tokens with their scores, as far as they came and were not taken before."""
        scored, self.scored = self.scored, []
        return scored

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The answer's thoughts, its words, in pieces of whole characters, up to a stop, and its calls. Closing it
        cancels the engine's work.

        Raises EngineLost, GenerationFailed, ApiError.
        """
        called = False
        async with aclosing(self._until_stop()) as pieces:
            async for piece in pieces:
                if not piece:
                    continue
                self._note(piece)
                called = called or not isinstance(piece, str | ThoughtPiece)
                yield piece
        self._engine.answered(self._asked)  # to its end, or to a stop text
        if called and self.finish_reason == "stop":
            self.finish_reason = "tool_calls"

    def _note(self, piece: Piece) -> None:
        self.last_piece_ns = time.monotonic_ns()
        self.first_piece_ns = self.first_piece_ns or self.last_piece_ns
        if not isinstance(piece, ThoughtPiece):
            self.first_answer_ns = self.first_answer_ns or self.last_piece_ns
        if isinstance(piece, str):
            self.texts.append(piece)

    async def _until_stop(self) -> AsyncGenerator[Piece, None]:
        """Stops are looked for in words alone: not in an echo, nor among the first ``min_tokens`` tokens."""
        stops = StopFilter(self._body.stops)
        async with aclosing(self._read()) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    if self.completion_tokens <= self._body.min_tokens:  # none yet: the echo
                        yield piece
                        continue
                    yield stops.push(piece)
                    if stops.found:
                        self.finish_reason = "stop"
                        return
                else:
                    yield stops.finish()
                    yield piece
        yield stops.finish()

    async def _read(self) -> AsyncGenerator[Piece, None]:
        reader, echo = self._reader, self._prompt.echo
        async with aclosing(self._engine.submit(self._asked)) as tokens:
            async for token in tokens:
                if isinstance(token, PromptScores):
                    self.scored += self._echoed([None, *token.scores])
                    continue
                if echo:
                    yield echo
                    echo = ""
                self.finish_reason = token.finish
                self.cached_tokens += token.reused
                if not self._max_tokens:
                    self.finish_reason = "length"  # whatever the token is that nobody asked for
                    return
                self.completion_tokens += 1
                self.reasoning_tokens += reader.thinking
                if token.score:
                    self.scored.append(Scored(token.token, token.score, self._tokenizer.token_bytes(token.token)))
                if token.finish != "stop":
                    for piece in reader.push(token.token):
                        yield piece
        for piece in reader.finish(cut_off=self.finish_reason == "length"):
            yield piece

    def _echoed(self, scores: Sequence[TokenScore | None]) -> list[Scored]:
        text = self._tokenizer.written if self._prompt.names_special else self._tokenizer.token_bytes
        return [Scored(token, score, text(token)) for token, score in zip(self._prompt.ids, scores, strict=True)]


class Choices:
    """``generations`` of the same request, ``each`` of them to every prompt, made side by side."""

    def __init__(self, generations: Sequence[Generation], each: int, has_thoughts: bool) -> None:
        self.generations, self._each, self._has_thoughts = generations, each, has_thoughts

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompts, each counted once."""
        return sum(generation.prompt_tokens for generation in self.generations[:: self._each])

    @property
    def cached_tokens(self) -> int:
        """Of ``prompt_tokens``, those that were not computed for this request."""
        return sum(generation.cached_tokens for generation in self.generations[:: self._each])

    @property
    def completion_tokens(self) -> int:
        return sum(generation.completion_tokens for generation in self.generations)

    @property
    def usage(self) -> Usage:
        thoughts = sum(generation.reasoning_tokens for generation in self.generations)
        details = ReasoningTokens(thoughts) if self._has_thoughts else msgspec.UNSET
        asked, answered = self.prompt_tokens, self.completion_tokens
        return Usage(asked, answered, asked + answered, CachedTokens(self.cached_tokens), details)

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


def _wrapped(seed: int) -> int:
    """``seed`` within 64 bits."""
    return seed if seed < 2**63 else seed - 2**64
