"""An answer on its way to the client, whole or streamed, in the words of its endpoint."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import msgspec
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shosei.log import Request as Event
from shosei.serve.errors import ApiError, api_error
from shosei.serve.generation import Generation
from shosei.text import CallPiece, Piece
from shosei.wire import sse
from shosei.wire.openai import (
    AnswerCall,
    AnswerMessage,
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    Completion,
    Delta,
    FunctionCall,
    RequestBody,
    TextChoice,
    ToolCallDelta,
    Usage,
)

_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


class CompletionResponse(Response):
    """An HTTP response that reads ``generation`` and words it as ``wording`` has it.

    The status line waits for the first piece, so that an engine that fails before it is an HTTP error; one that fails
    later is an error event, and the stream ends there.
    """

    def __init__(self, generation: Generation, wording: Wording, event: Event, request: RequestBody) -> None:
        super().__init__(media_type="text/event-stream" if request.stream else "application/json")
        del self.headers["content-length"]  # of a body that is not there yet
        self._generation, self._wording, self._event, self._request = generation, wording, event, request
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
            # This server's models keep no thoughts apart: their first piece is of the answer.
            self._event.first_token_ns = self._event.first_answer_ns = self._generation.first_piece_ns
            self._event.last_token_ns = self._generation.last_piece_ns
            self._event.tokens_in = self._generation.prompt_tokens
            self._event.tokens_out = self._generation.completion_tokens

    async def _send_whole(self, send: Send) -> None:
        async with aclosing(self._generation.pieces()) as pieces:
            whole = [piece async for piece in pieces]
        body = self._wording.whole(whole, self._generation.finish_reason, self._generation.usage)
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
        if opening := self._wording.opening():
            yield opening
        if first:
            yield self._wording.piece(first)
        async for piece in rest:
            yield self._wording.piece(piece)
        yield self._wording.closing(self._generation.finish_reason)
        if self._request.include_usage:
            yield self._wording.usage(self._generation.usage)
        yield sse.DONE

    def _head(self) -> Message:
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}


class Wording(ABC):
    """How one endpoint words an answer, whole or chunk by chunk. Every method returns a JSON object."""

    def __init__(self, id: str, model: str) -> None:
        self._id, self._model, self._created = id, model, int(time.time())

    @abstractmethod
    def whole(self, pieces: Sequence[Piece], finish_reason: str, usage: Usage) -> bytes: ...

    def opening(self) -> bytes | None:
        """The chunk before any piece, where the endpoint has one."""
        return None

    @abstractmethod
    def piece(self, piece: Piece) -> bytes: ...

    @abstractmethod
    def closing(self, finish_reason: str) -> bytes: ...

    @abstractmethod
    def usage(self, usage: Usage) -> bytes: ...


class ChatWording(Wording):
    """``chat.completion`` and ``chat.completion.chunk``."""

    _calls = 0  # that ``piece`` has begun

    def whole(self, pieces: Sequence[Piece], finish_reason: str, usage: Usage) -> bytes:
        words, calls = _words(pieces), _calls(pieces)
        message = AnswerMessage(words or None, tool_calls=calls) if calls else AnswerMessage(words)
        choices = [ChatChoice(message, finish_reason)]
        return _encode(
            ChatCompletion(id=self._id, created=self._created, model=self._model, choices=choices, usage=usage)
        )

    def opening(self) -> bytes:
        return self._chunk([ChatChunkChoice(Delta(role="assistant", content=""))])

    def piece(self, piece: Piece) -> bytes:
        delta = Delta(content=piece) if isinstance(piece, str) else Delta(tool_calls=[self._call_delta(piece)])
        return self._chunk([ChatChunkChoice(delta)])

    def _call_delta(self, piece: CallPiece) -> ToolCallDelta:
        if not piece.name:
            return ToolCallDelta(self._calls - 1, FunctionCall(arguments=piece.arguments))
        self._calls += 1
        return ToolCallDelta(self._calls - 1, FunctionCall(piece.name), _call_id(), "function")

    def closing(self, finish_reason: str) -> bytes:
        return self._chunk([ChatChunkChoice(Delta(), finish_reason)])

    def usage(self, usage: Usage) -> bytes:
        return self._chunk([], usage)

    def _chunk(self, choices: list[ChatChunkChoice], usage: Usage | None = None) -> bytes:
        return _encode(
            ChatChunk(
                id=self._id,
                created=self._created,
                model=self._model,
                choices=choices,
                object="chat.completion.chunk",
                usage=usage,
            )
        )


class TextWording(Wording):
    """``text_completion``, the same object whole and in chunks."""

    def whole(self, pieces: Sequence[Piece], finish_reason: str, usage: Usage) -> bytes:
        return self._completion([TextChoice(_words(pieces), finish_reason)], usage)

    def piece(self, piece: Piece) -> bytes:
        return self._completion([TextChoice(_words([piece]))])

    def closing(self, finish_reason: str) -> bytes:
        return self._completion([TextChoice("", finish_reason)])

    def usage(self, usage: Usage) -> bytes:
        return self._completion([], usage)

    def _completion(self, choices: list[TextChoice], usage: Usage | None = None) -> bytes:
        return _encode(
            Completion(
                id=self._id,
                created=self._created,
                model=self._model,
                choices=choices,
                object="text_completion",
                usage=usage,
            )
        )


def _event(data: bytes) -> Message:
    return {"type": "http.response.body", "body": sse.encode(data), "more_body": True}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _words(pieces: Sequence[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _calls(pieces: Sequence[Piece]) -> list[AnswerCall]:
    calls: list[AnswerCall] = []
    for piece in pieces:
        if not isinstance(piece, CallPiece):
            continue
        if piece.name:
            calls.append(AnswerCall(_call_id(), FunctionCall(piece.name)))
        calls[-1].function.arguments += piece.arguments
    return calls


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex}"
