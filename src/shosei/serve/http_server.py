"""The HTTP server under the routes: uvicorn, with limits on connections and with a drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from types import FrameType
from typing import Any, cast

import httptools
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shosei.wire.accepted import AcceptedConnection, AcceptedConnections, ConnectionLimits, HeaderTooLarge
from shosei.wire.api_error import ApiError

DRAIN_S = 20.0
_LAST_S = 1.0  # for answers that were cut to say so, and for their clients to read it
_POLL_S = 0.02
_MOST_SKIPPED = 1 << 20  # bytes of a body that nobody reads

_log = logging.getLogger(__name__)


class HttpServer(uvicorn.Server):
    """Serves ``app`` until SIGTERM, SIGINT or SIGHUP; then requests under way have ``drain_s`` to end, further ones are
    refused (503), and the port closes last. A second signal, or the end of that time, cuts what is left."""

    def __init__(self, app: ASGIApp, limits: ConnectionLimits, drain_s: float, log_level: str = "warning") -> None:
        self._connections = connections = AcceptedConnections(limits)
        self._drain_s, self._cut = drain_s, False

        def connected(**wiring: Any) -> _Connection:
            return _Connection(connections, **wiring)

        config = uvicorn.Config(
            app,
            http=cast(Any, connected),
            ws="none",
            log_level=log_level,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # they are read with the rest of who asks
            timeout_keep_alive=int(limits.idle_s) + 1,  # ``limits`` come first
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's signals, and that of a terminal which has gone, unless we were started to outlive it."""
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self.handle_exit)
        with super().capture_signals():
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        self._cut = self.should_exit
        super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        """Serve until told to stop, and then for as long as answers are under way."""
        watching = asyncio.create_task(self._connections.watch())
        try:
            await super().main_loop()
            await self._drain()
        finally:
            watching.cancel()

    async def _drain(self) -> None:
        self._connections.draining = True
        under_way = self.server_state.tasks
        if under_way:
            _log.warning(
                "stopping: %d requests have %g s to end; another signal cuts them", len(under_way), self._drain_s
            )
        await self._until(lambda: not under_way or self._cut, self._drain_s)
        for server in self.servers:
            server.close()
        for task in [*under_way]:
            task.cancel()
        await self._until(lambda: not under_way, _LAST_S)
        for connection in [*self.server_state.connections]:
            connection.shutdown()
        await self._until(lambda: not self._connections, _LAST_S)
        self._connections.abort()

    @staticmethod
    async def _until(done: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not done() and time.monotonic() < until:
            await asyncio.sleep(_POLL_S)


class _AnswerFirst(Exception):
    """A request came before the one before it was answered."""


class _Connection(HttpToolsProtocol):
    """A client's connection. asyncio calls ``connection_…``, ``data_received`` and ``…_writing``; httptools calls
    ``on_…``; uvicorn calls the rest."""

    def __init__(self, connections: AcceptedConnections, **wiring: Any) -> None:
        super().__init__(**wiring)
        self._connections = connections
        self._accepted: AcceptedConnection
        self._error: Exception | None = None
        self._closing = False  # after the answer under way

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._accepted = AcceptedConnection(self._connections, transport, self._refuse)

    def connection_lost(self, exc: Exception | None) -> None:
        self._accepted.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._accepted.takes(data) and not self._closing:
            self._unset_keepalive_if_required()
            self._parse(data)
            self._accepted.parsed(self._error)

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            method, self.parser = self.parser.get_method(), httptools.HttpRequestParser(self)
            if method == b"CONNECT":
                self._refuse(405, "This is not a tunnel")
            else:  # an offer of HTTP/2, as Java's client makes it: not taken, so the request is read as if without it
                self._parse(self._head(method) + data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self._closing:
                self._error = self._error or error

    def _head(self, method: bytes) -> bytes:
        """The header again, without its offer."""
        lines = [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([b"%s %s HTTP/1.1" % (method, self.url), *lines, b"", b""])

    def pause_writing(self) -> None:
        self._accepted.paused(True)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._accepted.paused(False)
        super().resume_writing()

    def on_message_begin(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # Sent before the answer to the last one. It may be left unanswered, and is (RFC 9112, 9.3.2): thousands
            # would be read at once, and the client's leaving be seen by the last of them alone.
            self._closing, self.cycle.keep_alive = True, False
            raise _AnswerFirst
        self._accepted.begun()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._note(len(url), fields=0)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._note(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._accepted.header_ended()
        reason = self._accepted.refusal(self.url.partition(b"?")[0].decode("latin-1"))
        self.app = cast(Any, _Unavailable(reason) if reason else self._answer)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._accepted.body(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._accepted.whole()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._accepted.answered()
        super().on_response_complete()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the application answer; where it is cancelled before it has begun, the client is told that."""
        try:
            await self.config.loaded_app(scope, receive, send)
        except asyncio.CancelledError:
            if not self.cycle.response_started:
                await _Unavailable("The server is being stopped")(scope, receive, send)

    def _note(self, size: int, *, fields: int = 1) -> None:
        try:
            self._accepted.header(size, fields=fields)
        except HeaderTooLarge as error:
            self._error = error  # httptools would tell of it only that there was one
            raise

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is not a whole request, unless an answer to it has begun. Nothing that follows is read."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_page(status, message))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self._accepted.linger()


class _Unavailable:
    """An ASGI application that refuses a request once its body is read, so that the client comes to read the answer."""

    def __init__(self, reason: str) -> None:
        self._error = ApiError(503, reason, code="unavailable", retry_after_s=1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        skipped, message = 0, await receive()
        while message.get("more_body") and skipped < _MOST_SKIPPED:
            skipped += len(message["body"])
            message = await receive()
        headers = {**self._error.headers, "Connection": "close"}
        await Response(self._error.body(), 503, headers, media_type="application/json")(scope, receive, send)


def _page(status: int, message: str) -> bytes:
    """A whole answer, the last of its connection."""
    body = ApiError(status, message).body()
    response = Response(body, status, {"Connection": "close"}, media_type="application/json")
    lines = [b"%s: %s" % header for header in response.raw_headers]
    status_line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()
    return b"\r\n".join([status_line, *lines, b"", body])
