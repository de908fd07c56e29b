"""From a checked request to its answer: admission, tokens, room in the context."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from shosei.serve.answer import Answer
from shosei.serve.checks import check
from shosei.serve.engine_link import EngineLink
from shosei.serve.errors import CONTEXT_LENGTH_EXCEEDED, ApiError
from shosei.serve.feedback import RecentAnswers
from shosei.serve.generation import Generation, Prompt
from shosei.serve.ledger import Counters, event_of
from shosei.serve.shapes import Shape
from shosei.text import Tokenizer
from shosei.wire.openai import ModelCard, RequestBody


@dataclass(frozen=True)
class PreparedRequest:
    """What an endpoint makes of its request. ``param`` is the field that the ids of ``prompt`` come from."""

    prompt: Callable[[], Prompt]
    param: str
    max_tokens: int | None  # as the client asked; None: ``default``, or all that the context leaves
    default: int | None = None
    text: str = ""  # what was asked, as a person reads it


class Front:
    """One served model: its name, its tokenizer, and the way to its engine. ``recent`` remembers what it answers."""

    def __init__(
        self,
        name: str,
        tokenizer: Tokenizer,
        link: EngineLink,
        counters: Counters,
        max_waiting: int,
        recent: RecentAnswers | None = None,
    ) -> None:
        self.card = ModelCard(id=name, created=int(time.time()))
        self.tokenizer, self.link, self.counters = tokenizer, link, counters
        self._max_waiting, self._recent = max_waiting, recent

    def check_model(self, name: str) -> None:
        """Raise ApiError (404) unless ``name`` is the served model."""
        if name != self.card.id:
            message = f"The model '{name}' does not exist here: this server has '{self.card.id}'"
            raise ApiError(404, message, param="model", code="model_not_found")

    async def answer(
        self, scope: Scope, request: RequestBody, prepared: PreparedRequest, shape: Callable[[str, str], Shape]
    ) -> Answer:
        """The response to ``request``, not yet begun. Raises ApiError, EngineLost."""
        event = event_of(scope)
        event.stream = request.stream
        self.check_model(request.model or self.card.id)
        check(request)
        engine = await self.link.client()
        if self.counters.in_flight > engine.hello.slots + self._max_waiting:
            raise ApiError(429, f"{self._max_waiting} requests wait already: try again later", retry_after_s=1)
        # In a thread: a long prompt or a large schema must not hold up the streams of others.
        prompt = await asyncio.to_thread(prepared.prompt)
        max_tokens = _room(len(prompt.ids), engine.hello.context_length, prepared)
        generation = Generation(engine, self.tokenizer, prompt, max_tokens, request)
        if self._recent is not None:
            self._recent.add(event.id, prepared.text, generation.texts)
        return Answer(generation, shape(event.id, self.card.id), event, request)


def _room(prompt_tokens: int, context_length: int, prepared: PreparedRequest) -> int:
    """How many tokens the answer may have. Raises ApiError if prompt and answer cannot fit the context."""
    left, wanted = context_length - prompt_tokens, prepared.max_tokens
    if left < (wanted or 1):
        answer = f"up to {wanted}" if wanted else "at least 1"
        raise ApiError(
            400,
            f"This model's context is {context_length} tokens; the prompt has {prompt_tokens} and the answer is to "
            f"have {answer}: shorten {prepared.param} or lower max_tokens",
            param=prepared.param,
            code=CONTEXT_LENGTH_EXCEEDED,
        )
    return wanted or min(left, prepared.default or left)
