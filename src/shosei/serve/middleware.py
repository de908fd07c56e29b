"""What became of each completion request: a ``request`` event in the run's log, and counts for operators."""

from __future__ import annotations

import asyncio
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shosei.log import Request, Writer
from shosei.serve.access import API_KEY
from shosei.serve.answer_ids import AnswerIds
from shosei.serve.counters import Counters
from shosei.wire.openai import ID_PREFIXES

PURPOSE_HEADER = b"x-shosei-purpose"
PURPOSES = ("load", "exam", "agents", "chat", "judge", "probe", "warm-up")
EVENT = "shosei.event"  # in the scope of a completion request
REFUSAL = "shosei.refusal"  # in the scope of a request that was refused: why, in a word


class RequestMiddleware:
    """ASGI middleware: opens an event for each completion request, watches what comes and goes, and closes it.

    No request of any kind may have a body larger than ``max_body_bytes``.
    """

    def __init__(
        self, app: ASGIApp, counters: Counters, ids: AnswerIds, writer: Writer | None, max_body_bytes: int
    ) -> None:
        self._app, self._counters, self._ids, self._writer = app, counters, ids, writer
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        receive = _limited(receive, self._max_body_bytes)
        prefix = ID_PREFIXES.get(scope.get("path", ""))
        if prefix is None or scope.get("method") != "POST":
            return await self._app(scope, receive, send)
        event = scope[EVENT] = _open(self._ids.new(prefix), scope)
        if self._writer:
            self._writer.begin(event)

        admitted = False  # once the body is there, so that whoever sends none takes nobody's place

        async def watched_receive() -> Message:
            nonlocal admitted
            message = await receive()
            event.bytes_received = (event.bytes_received or 0) + len(message.get("body", b""))
            if not (admitted or message.get("more_body")):
                admitted = True
                self._counters.in_flight += 1
            return message

        async def watched_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                event.status = message["status"]
                event.first_byte_ns = time.monotonic_ns()
            event.bytes_sent = (event.bytes_sent or 0) + len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, watched_receive, watched_send)
        except asyncio.CancelledError:  # the server is being stopped
            event.status, event.error = event.status or 503, "5xx"
            raise
        except Exception:
            event.status = 500
            raise
        finally:
            self._counters.in_flight -= admitted
            self._close(event, scope.get(REFUSAL, ""))

    def _close(self, event: Request, refusal: str) -> None:
        event.done_ns = time.monotonic_ns()
        event.error = event.error or _error_of(event.status)
        event.first_try_error = event.error
        self._counters.count(event, refusal)
        if self._writer:
            self._writer.emit(event)


def _limited(receive: Receive, most: int) -> Receive:
    """``receive`` that refuses a body which is too large to be kept in memory."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise HTTPException(413, f"The body is larger than {most} bytes, the limit of this server (--body-limit)")
        return message

    return limited


def _open(id: str, scope: Scope) -> Request:
    purpose = dict(scope["headers"]).get(PURPOSE_HEADER, b"").decode("latin-1")
    now = time.monotonic_ns()
    return Request(
        id=id,
        purpose=purpose if purpose in PURPOSES else "chat",
        seen_by="server",
        scheduled_ns=now,
        sent_ns=now,
        api_key=scope.get(API_KEY, ""),
    )


def _error_of(status: int | None) -> str:
    if status is None:
        return "disconnect"
    if status < 400:
        return ""
    return "429" if status == 429 else "4xx" if status < 500 else "5xx"
