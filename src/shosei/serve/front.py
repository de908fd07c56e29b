"""From a request to its answer: admission, prompts, the engine's work on them, and the response to the client."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shosei.engine.protocol import Hello
from shosei.serve.counters import Counters
from shosei.serve.engine_link import EngineLink
from shosei.serve.errors import LONG_BODY_BYTES, api_error
from shosei.serve.exchange import Exchange, timeout_in_header
from shosei.serve.fields import check_amount, check_fields, check_ids, ignored_fields
from shosei.serve.generation import Choices, Generation
from shosei.serve.grammar_checker import GrammarChecker, Turns
from shosei.serve.prompt import PreparedRequest, Prompt
from shosei.serve.wording import Wording
from shosei.text import ChatFormat, Piece
from shosei.text.generation import SamplingDefaults
from shosei.wire import sse
from shosei.wire.api_error import ApiError
from shosei.wire.openai import RequestBody
from shosei.wire.openai_answers import ModelCard
from shosei.wire.recent_answers import RecentAnswers

IGNORED_HEADER = "x-shosei-ignored"
_MOST_IGNORED = 2_000  # characters of that header: clients and proxies refuse an answer with a large one
_SHOWN = 100  # of what a client sent
_OPENAI_DEFAULTS = SamplingDefaults()
T = TypeVar("T")
_log = logging.getLogger(__name__)


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
        defaults: SamplingDefaults = _OPENAI_DEFAULTS,
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
            message = f"The model '{name[:_SHOWN]}' does not exist here: this server has '{self.card.id}'"
            raise ApiError(404, message, param="model", code="model_not_found")

    async def answer(self, http: HttpRequest, request: PreparedRequest, wording: type[Wording]) -> CompletionResponse:
        """The response to ``request``, not yet begun. Raises ApiError, EngineLost."""
        exchange, body = Exchange.of(http.scope), request.body
        exchange.event.stream = body.stream
        self.check_model(body.model or self.card.id)
        check_fields(body)
        exchange.ignored = ignored_fields(body, self.chat)
        if exchange.ignored and self._strict:
            fields = ", ".join(exchange.ignored)
            raise ApiError(400, f"this server is strict, and does nothing with {fields}", param=exchange.ignored[0])
        exchange.limit_time(body.timeout, timeout_in_header(http.scope))
        hello = (await self.link.client()).hello
        self._admit(hello.slots)
        prompts = await _in_time(exchange, _while_connected(http, self._prompts(http, request, hello)))
        tokenizer = self.chat.tokenizer
        generations = [
            Generation(self.link, tokenizer, prompt, most, body, self._defaults, number)
            for prompt in prompts
            for most in [request.answer_tokens(prompt, hello.context_length)]
            for number in range(body.n)
        ]
        if self._recent is not None:
            self._recent.add(exchange.event.id, request.question, generations[0].texts)
        choices = Choices(generations, body.n, prompts[0].has_thoughts)
        worded = wording(exchange.event.id, self.card.id, tokenizer, body.alternatives is not None)
        return CompletionResponse(exchange, body, choices, worded, self.counters)

    def _admit(self, slots: int) -> None:
        """Raise ApiError (429) where too many requests wait for a slot already."""
        if self.counters.in_flight > slots + self._max_waiting:
            wait_s = self.counters.wait_s(self._max_waiting)
            message = f"{self._max_waiting} requests wait already, for about {wait_s} s: try again then"
            raise ApiError(429, message, code="queue_full", retry_after_s=wait_s)

    async def _prompts(self, http: HttpRequest, request: PreparedRequest, hello: Hello) -> list[Prompt]:
        """The prompts, whose grammars have been tried. Raises ApiError."""

        def encoded() -> list[Prompt]:
            check_ids(request.body, hello.vocab_size)
            return request.fitting_prompts(hello.context_length)

        client = Exchange.of(http.scope).client
        await self.grammars.in_lark(request.body, client)
        prompts = await self.in_thread(encoded, http)
        check_amount(request.body, len(prompts) * request.body.n)
        await self.grammars.check(prompts[0].rules, client)
        return prompts

    async def in_thread(self, work: Callable[[], T], http: HttpRequest) -> T:
        """``work``, which encodes a text of this request, outside of the event loop. Long ones take turns, so that they
        leave the threads that all share to others. Raises ApiError where too many wait."""
        if len(await http.body()) <= LONG_BODY_BYTES:
            return await asyncio.to_thread(work)
        async with self._long_prompts.turn(Exchange.of(http.scope).client):
            return await asyncio.to_thread(work)


class CompletionResponse(Response):
    """An HTTP response that reads ``choices`` and words them as ``wording`` has it.

    The status line waits for the first piece, so that an engine that fails before it is an HTTP error; one that fails
    later is an error event, and the stream ends there; so does one that is late.
    """

    def __init__(
        self, exchange: Exchange, body: RequestBody, choices: Choices, wording: Wording, counters: Counters
    ) -> None:
        names = _header_of(exchange.ignored)
        super().__init__(
            media_type="text/event-stream" if body.stream else "application/json",
            headers={IGNORED_HEADER: names} if names else {},
        )
        del self.headers["content-length"]  # of a body that is not there yet
        self._exchange, self._body, self._choices, self._wording = exchange, body, choices, wording
        self._counters, self._streaming = counters, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        event, choices = self._exchange.event, self._choices
        work = asyncio.create_task(self._send_stream(send) if self._body.stream else self._send_whole(send))
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: work.cancel())
        try:
            async with asyncio.timeout(self._exchange.left_s) as limit:
                await work
        except asyncio.CancelledError:
            if gone.done():
                event.error = "disconnect"
            else:
                await self._fail(ApiError(503, "The server is being stopped", code="stopped"), send)
        except Exception as exception:
            if limit.expired():
                event.error = "timeout"
            await self._fail(self._exchange.late() if limit.expired() else exception, send)
        finally:
            for generation in choices.generations:
                self._counters.finished(generation.finish_reason)
            gone.cancel()
            event.first_token_ns, event.last_token_ns = choices.first_piece_ns, choices.last_piece_ns
            event.first_answer_ns = choices.first_answer_ns
            event.tokens_in, event.tokens_out = choices.prompt_tokens, choices.completion_tokens
            event.tokens_cached = choices.cached_tokens

    async def _send_whole(self, send: Send) -> None:
        whole: list[list[Piece]] = [[] for _ in self._choices.generations]
        async with aclosing(self._choices.pieces()) as pieces:
            async for number, piece in pieces:
                if piece:
                    whole[number].append(piece)
        body = self._wording.whole(whole, self._choices)
        self.headers["content-length"] = str(len(body))
        await send(self._head())
        await send({"type": "http.response.body", "body": body})

    async def _send_stream(self, send: Send) -> None:
        async with aclosing(self._choices.pieces()) as pieces:
            first = await anext(pieces)
            self._streaming = True
            await send(self._head())
            async for chunk in self._chunks(first, pieces):
                await send(_event(chunk))
        await send({"type": "http.response.body", "body": b""})

    async def _fail(self, exception: Exception, send: Send) -> None:
        """Before the first chunk an error is an HTTP status; after it, an error event, and the stream ends."""
        if not self._streaming:
            raise exception
        error = api_error(exception)
        self._exchange.event.error = self._exchange.event.error or "5xx"
        if error.status == 500:
            _log.error("an answer broke off", exc_info=exception)
        await send(_event(error.body()))
        await send({"type": "http.response.body", "body": b""})

    async def _chunks(
        self, first: tuple[int, Piece | None], rest: AsyncIterator[tuple[int, Piece | None]]
    ) -> AsyncIterator[bytes]:
        for number in range(len(self._choices.generations)):
            if opening := self._wording.opening(number):
                yield opening
        yield self._chunk(*first)
        async for number, piece in rest:
            yield self._chunk(number, piece)
        if self._body.include_usage:
            yield self._wording.usage(self._choices.usage)
        yield sse.DONE

    def _chunk(self, number: int, piece: Piece | None) -> bytes:
        generation = self._choices.generations[number]
        scored = generation.take_scored()
        if piece is None:
            return self._wording.closing(number, generation.finish_reason, scored)
        return self._wording.piece(number, piece, scored)

    def _head(self) -> Message:
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}


def _event(data: bytes) -> Message:
    return {"type": "http.response.body", "body": sse.encode(data), "more_body": True}


def _header_of(names: Sequence[str]) -> str:
    """Names of fields in a header; where they are too long for one, as many as fit and an ellipsis."""
    text = quote(", ".join(names), safe=" ,.[]", errors="replace")
    return text if len(text) <= _MOST_IGNORED else f"{text[:_MOST_IGNORED].rpartition(', ')[0]}, ..."


async def _in_time(exchange: Exchange, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` returns or raises; ApiError (504) where the answer would be late."""
    try:
        async with asyncio.timeout(exchange.left_s) as limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        exchange.event.error = "timeout"
        raise exchange.late() from None


async def _while_connected(http: HttpRequest, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` returns or raises; it is cancelled where the client leaves first, which is ApiError (499)."""
    working = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(http.receive))
    gone.add_done_callback(lambda _: working.cancel())
    try:
        return await working
    except asyncio.CancelledError:
        if not gone.done():
            raise
        Exchange.of(http.scope).event.error = "disconnect"
        raise ApiError(499, "The client has left", code="disconnect") from None
    finally:
        working.cancel()
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
