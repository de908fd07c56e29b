"""From a request to its answer: admission, room in the context, the time that it has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from starlette.requests import Request as HttpRequest

from shosei.engine.protocol import Hello
from shosei.log import Request as Event
from shosei.serve.access import API_KEY
from shosei.serve.choices import Choices
from shosei.serve.counters import Counters
from shosei.serve.deadline import Deadline
from shosei.serve.engine_link import EngineLink
from shosei.serve.errors import CONTEXT_LENGTH_EXCEEDED
from shosei.serve.feedback import RecentAnswers
from shosei.serve.fields import IGNORED_HEADER, ignored_fields
from shosei.serve.generation import Generation
from shosei.serve.grammar_checker import GrammarChecker
from shosei.serve.middleware import EVENT
from shosei.serve.prompt import Prompt, check, check_ids
from shosei.serve.response import CompletionResponse, while_connected
from shosei.serve.sampling import OPENAI_DEFAULTS, sampling
from shosei.serve.turns import Turns
from shosei.serve.wording import Wording
from shosei.text import ChatFormat
from shosei.text.generation import SamplingDefaults
from shosei.text.tokenizer import TooManyTokens
from shosei.wire.api_error import ApiError
from shosei.wire.openai import RequestBody
from shosei.wire.openai_answers import ModelCard

_LONG_BODY_BYTES = 1 << 16  # whose text takes some tens of milliseconds to encode
T = TypeVar("T")


@dataclass(frozen=True)
class PreparedRequest:
    """What an endpoint makes of its request. ``param`` is the field that the ids of ``prompts`` come from."""

    prompts: Callable[[int], list[Prompt]]  # of so many tokens at most, each
    text: Callable[[], str]  # what was asked, as a person reads it
    param: str
    max_tokens: int | None  # as the client asked; None: ``default``, or all that the context leaves
    default: int | None = None
    alternatives: int | None = None  # so many scores beside each token's; None: no scores


class Front:
    """One served model: its name, its chat format, and the way to its engine. ``recent`` remembers what it answers.

    ``defaults`` are what a request does not say of sampling. Where it is ``strict``, a field that changes nothing is
    refused, not only named.
    """

    def __init__(
        self,
        name: str,
        chat: ChatFormat,
        link: EngineLink,
        grammars: GrammarChecker,
        counters: Counters,
        max_waiting: int,
        recent: RecentAnswers | None = None,
        defaults: SamplingDefaults = OPENAI_DEFAULTS,
        strict: bool = False,
    ) -> None:
        self.card = ModelCard(id=name, created=int(time.time()))
        self.chat, self.link, self.grammars, self.counters = chat, link, grammars, counters
        self._long_prompts = Turns("the reading of long prompts")
        self._max_waiting, self._recent = max_waiting, recent
        self._defaults, self._strict = defaults, strict

    def check_model(self, name: str) -> None:
        """Raise ApiError (404) unless ``name`` is the served model."""
        if name != self.card.id:
            message = f"The model '{name}' does not exist here: this server has '{self.card.id}'"
            raise ApiError(404, message, param="model", code="model_not_found")

    async def answer(
        self, http: HttpRequest, request: RequestBody, prepared: PreparedRequest, wording: type[Wording]
    ) -> CompletionResponse:
        """The response to ``request``, not yet begun. Raises ApiError, EngineLost."""
        event: Event = http.scope[EVENT]
        event.stream = request.stream
        self.check_model(request.model or self.card.id)
        check(request)
        ignored = self._ignored(request)
        engine = await self.link.client()
        if self.counters.in_flight > engine.hello.slots + self._max_waiting:
            wait_s = self.counters.wait_s(self._max_waiting)
            message = f"{self._max_waiting} requests wait already, for about {wait_s} s: try again then"
            raise ApiError(429, message, code="queue_full", retry_after_s=wait_s)
        prompts = await self._prompts(http, request, prepared, engine.hello)
        drawn = sampling(request, self._defaults)
        generations = [
            Generation(
                self.link,
                self.chat.tokenizer,
                prompt,
                _answer_limit(len(prompt.ids), engine.hello.context_length, prepared, request.min_tokens),
                request,
                drawn,
                prepared.alternatives,
                number,
            )
            for prompt in prompts
            for number in range(request.n)
        ]
        choices = Choices(generations, request.n, prompts[0].has_thoughts)
        if self._recent is not None:
            self._recent.add(event.id, prepared.text(), generations[0].texts)
        worded = wording(event.id, self.card.id, self.chat.tokenizer, prepared.alternatives is not None)
        deadline = Deadline.of(event, request, http.scope)
        return CompletionResponse(choices, worded, event, request, ignored, deadline, self.counters)

    async def _prompts(
        self, http: HttpRequest, request: RequestBody, prepared: PreparedRequest, hello: Hello
    ) -> list[Prompt]:
        """The prompts, whose grammars have been tried. Raises ApiError."""
        client = client_of(http)

        def encoded() -> list[Prompt]:
            check_ids(request, hello.vocab_size)
            try:
                return prepared.prompts(hello.context_length)
            except TooManyTokens as error:
                raise _too_long(hello.context_length, f"at least {error.least}", prepared) from None

        async def tried() -> list[Prompt]:
            await self.grammars.in_lark(request, client)
            prompts = await self.in_thread(encoded, len(await http.body()), client)
            await self.grammars.check(prompts[0].rules, client)
            return prompts

        return await while_connected(http, tried())

    async def in_thread(self, work: Callable[[], T], body_bytes: int, client: str) -> T:
        """``work``, which encodes a text, outside of the event loop. Long ones take turns, so that they leave the
        threads that all share to others. Raises ApiError where too many wait."""
        if body_bytes <= _LONG_BODY_BYTES:
            return await asyncio.to_thread(work)
        async with self._long_prompts.turn(client):
            return await asyncio.to_thread(work)

    def _ignored(self, request: RequestBody) -> dict[str, str]:
        """The header that names the fields that change nothing. Raises ApiError where none may be."""
        names = ignored_fields(request, self.chat)
        if names and self._strict:
            raise ApiError(400, f"this server is strict, and does nothing with {', '.join(names)}", param=names[0])
        return {IGNORED_HEADER: quote(", ".join(names), safe=" ,.[]", errors="replace")} if names else {}


def client_of(http: HttpRequest) -> str:
    """Who takes turns with others: the API key that a request showed, by its name, or the address it came from."""
    return http.scope.get(API_KEY) or (http.client.host if http.client else "")


def _answer_limit(prompt_tokens: int, context_length: int, prepared: PreparedRequest, least: int) -> int:
    """How many tokens the answer may have. Raises ApiError if that is fewer than ``least``, or if prompt and answer
    cannot fit the context."""
    left, wanted = context_length - prompt_tokens, prepared.max_tokens
    if left < (wanted or 1):
        raise _too_long(context_length, str(prompt_tokens), prepared)
    limit = min(left, prepared.default or left) if wanted is None else wanted
    if least > limit:
        message = f"min_tokens is {least}, and the answer may have at most {limit} tokens"
        raise ApiError(400, message, param="min_tokens")
    return limit


def _too_long(context_length: int, prompt_tokens: str, prepared: PreparedRequest) -> ApiError:
    answer = f"up to {prepared.max_tokens}" if prepared.max_tokens else "at least 1"
    return ApiError(
        400,
        f"This model's context is {context_length} tokens; the prompt has {prompt_tokens} and the answer is to "
        f"have {answer}: shorten {prepared.param} or lower max_tokens",
        param=prepared.param,
        code=CONTEXT_LENGTH_EXCEEDED,
    )
