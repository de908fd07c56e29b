"""One answer as the engine sees it, and its tokens as text. Both endpoints and both modes go through here."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from shosei.engine.protocol import PromptScores, Submit, TokenScore
from shosei.serve.engine_link import EngineLink
from shosei.serve.prompt import Prompt
from shosei.serve.sampling import Sampling
from shosei.text import AnswerReader, Piece, ThoughtPiece, Tokenizer
from shosei.text.streaming import StopFilter
from shosei.text.thoughts import ThoughtFilter
from shosei.wire.openai import RequestBody

Scored = tuple[int, TokenScore | None]  # a token with its score; the first of a prompt has none


class Generation:
    """An answer that is made while ``pieces`` is read; its counts and ``finish_reason`` are final afterwards.

    ``seed_offset`` makes it differ from other answers to the same request, which have the same seed.
    """

    def __init__(
        self,
        engine: EngineLink,
        tokenizer: Tokenizer,
        prompt: Prompt,
        max_tokens: int,
        request: RequestBody,
        sampling: Sampling,
        alternatives: int | None = None,
        seed_offset: int = 0,
    ) -> None:
        self._engine, self._tokenizer = engine, tokenizer
        self._prompt, self._max_tokens, self._request = prompt, max_tokens, request
        self._sampling, self._alternatives, self._seed_offset = sampling, alternatives, seed_offset
        thoughts = ThoughtFilter(prompt.within_thought) if prompt.has_thoughts else None
        self._reader = AnswerReader(tokenizer, prompt.calls, thoughts)
        self.texts: list[str] = []  # words that ``pieces`` has given so far
        self.scored: list[Scored] = []  # what came since it was last taken away
        self.completion_tokens = self.reasoning_tokens = 0
        self.first_piece_ns: int | None = None
        self.first_answer_ns: int | None = None  # of the first piece that is no thought
        self.last_piece_ns: int | None = None
        self.finish_reason = ""

    @property
    def prompt_tokens(self) -> int:
        return len(self._prompt.ids)

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
        stops = StopFilter(self._request.stops)
        async with aclosing(self._read()) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    if self.completion_tokens <= self._request.min_tokens:  # none yet: the echo
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
        async with aclosing(self._engine.submit(self._submit())) as tokens:
            async for token in tokens:
                if isinstance(token, PromptScores):
                    self.scored += zip(self._prompt.ids, [None, *token.scores], strict=True)
                    continue
                if echo:
                    yield echo
                    echo = ""
                self.finish_reason = token.finish
                if not self._max_tokens:
                    return
                self.completion_tokens += 1
                self.reasoning_tokens += reader.thinking
                if token.score:
                    self.scored.append((token.token, token.score))
                if token.finish != "stop":
                    for piece in reader.push(token.token):
                        yield piece
        for piece in reader.finish(cut_off=self.finish_reason == "length"):
            yield piece

    def _submit(self) -> Submit:
        request, sampling = self._request, self._sampling
        ends = [] if request.ignore_eos else self._tokenizer.end_ids
        return Submit(
            0,
            self._prompt.ids,
            max(self._max_tokens, 1),
            sampling.temperature,
            sampling.top_p,
            None if request.seed is None else _wrapped(request.seed + self._seed_offset),
            [*ends, *request.stop_token_ids],
            self._prompt.grammar,
            sampling.top_k,
            sampling.min_p,
            sampling.rules,
            self._alternatives,
            bool(self._prompt.echo) and self._alternatives is not None,
        )


def _wrapped(seed: int) -> int:
    """``seed`` within 64 bits."""
    return seed if seed < 2**63 else seed - 2**64
