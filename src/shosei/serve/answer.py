"""A generation on its way to the client, whole or streamed, and cancelled the moment the client is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shosei.log import Request as Event
from shosei.serve.errors import ApiError, api_error
from shosei.serve.generation import Generation
from shosei.serve.shapes import Shape
from shosei.text import Piece
from shosei.wire import sse
from shosei.wire.openai import RequestBody

_log = logging.getLogger(__name__)


class Answer(Response):
    """An HTTP response that reads ``generation`` and words it as ``shape`` has it.

    The status line waits for the first piece, so that an engine that fails before it is an HTTP error; one that fails
    later is an error event, and the stream ends there.
    """

    def __init__(self, generation: Generation, shape: Shape, event: Event, request: RequestBody) -> None:
        super().__init__(media_type="text/event-stream" if request.stream else "application/json")
        del self.headers["content-length"]  # of a body that is not there yet
        self._generation, self._shape, self._event, self._request = generation, shape, event, request
        self._streaming = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(self._send_stream(send) if self._request.stream else self._send_whole(send))
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: work.cancel())
        try:
            await work
        except asyncio.CancelledError:
            if gone.done():
                self._event.error = "disconnect"
            else:
                await self._fail(ApiError(503, "The server is being stopped", code="stopped"), send)
        except Exception as exception:
            await self._fail(exception, send)
        finally:
            gone.cancel()
            self._event.first_token_ns = self._generation.first_piece_ns
            self._event.tokens_in = self._generation.prompt_tokens
            self._event.tokens_out = self._generation.completion_tokens

    async def _send_whole(self, send: Send) -> None:
        async with aclosing(self._generation.pieces()) as pieces:
            made = [piece async for piece in pieces]
        body = self._shape.whole(made, self._generation.finish_reason, self._generation.usage)
        self.headers["content-length"] = str(len(body))
        await send(self._head())
        await send({"type": "http.response.body", "body": body})

    async def _send_stream(self, send: Send) -> None:
        async with aclosing(self._generation.pieces()) as pieces:
            first = await anext(pieces, "")
            self._streaming = True
            await send(self._head())
            async for chunk in self._chunks(first, pieces):
                await send(_event(chunk))
        await send({"type": "http.response.body", "body": b""})

    async def _fail(self, exception: Exception, send: Send) -> None:
        """Before the first chunk an error is an HTTP status; after it, an error event, and the stream ends."""
        if not self._streaming:
            raise exception
        self._event.error = "5xx"
        error = api_error(exception)
        if error.status == 500:
            _log.error("an answer broke off", exc_info=exception)
        await send(_event(error.body()))
        await send({"type": "http.response.body", "body": b""})

    async def _chunks(self, first: Piece, rest: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
        if opening := self._shape.opening():
            yield opening
        if first:
            yield self._shape.piece(first)
        async for piece in rest:
            yield self._shape.piece(piece)
        yield self._shape.closing(self._generation.finish_reason)
        if self._request.include_usage:
            yield self._shape.usage(self._generation.usage)
        yield sse.DONE

    def _head(self) -> Message:
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}


def _event(data: bytes) -> Message:
    return {"type": "http.response.body", "body": sse.encode(data), "more_body": True}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
