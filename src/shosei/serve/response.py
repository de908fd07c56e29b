"""An answer on its way to the client, whole or streamed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shosei.log import Request as Event
from shosei.serve.choices import Choices
from shosei.serve.counters import Counters
from shosei.serve.deadline import Deadline
from shosei.serve.errors import api_error
from shosei.serve.middleware import EVENT
from shosei.serve.wording import Wording
from shosei.text import Piece
from shosei.wire import sse
from shosei.wire.api_error import ApiError
from shosei.wire.openai import RequestBody

T = TypeVar("T")
_log = logging.getLogger(__name__)


class CompletionResponse(Response):
    """An HTTP response that reads ``choices`` and words them as ``wording`` has it.

    The status line waits for the first piece, so that an engine that fails before it is an HTTP error; one that fails
    later is an error event, and the stream ends there; so does one that is not done by ``deadline``.
    """

    def __init__(
        self,
        choices: Choices,
        wording: Wording,
        event: Event,
        request: RequestBody,
        headers: Mapping[str, str],
        deadline: Deadline,
        counters: Counters,
    ) -> None:
        super().__init__(media_type="text/event-stream" if request.stream else "application/json", headers=headers)
        del self.headers["content-length"]  # of a body that is not there yet
        self._choices, self._wording, self._event, self._request = choices, wording, event, request
        self._deadline, self._counters = deadline, counters
        self._streaming = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(self._send_stream(send) if self._request.stream else self._send_whole(send))
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: work.cancel())
        try:
            async with asyncio.timeout(self._deadline.left_s) as limit:
                await work
        except asyncio.CancelledError:
            if gone.done():
                self._event.error = "disconnect"
            else:
                await self._fail(ApiError(503, "The server is being stopped", code="stopped"), send)
        except Exception as exception:
            if limit.expired():
                self._event.error = "timeout"
            await self._fail(self._deadline.error() if limit.expired() else exception, send)
        finally:
            for generation in self._choices.generations:
                self._counters.finished(generation.finish_reason)
            gone.cancel()
            self._event.first_token_ns = self._choices.first_piece_ns
            self._event.first_answer_ns = self._choices.first_answer_ns
            self._event.last_token_ns = self._choices.last_piece_ns
            self._event.tokens_in = self._choices.prompt_tokens
            self._event.tokens_out = self._choices.completion_tokens

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
        self._event.error = self._event.error or "5xx"
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
        if self._request.include_usage:
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


async def while_connected(http: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` returns or raises; it is cancelled where the client leaves first, which is ApiError (499)."""
    working = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(http.receive))
    gone.add_done_callback(lambda _: working.cancel())
    try:
        return await working
    except asyncio.CancelledError:
        if not gone.done():
            raise
        http.scope[EVENT].error = "disconnect"
        raise ApiError(499, "The client has left", code="disconnect") from None
    finally:
        working.cancel()
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
