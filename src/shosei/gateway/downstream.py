"""The gateway's side of a client's connection: HTTP/1.1 requests come in, answers go out, one after the other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import httptools
import msgspec

from shosei.gateway.bodies import Bodies, Body
from shosei.gateway.call import Call
from shosei.wire.accepted import AcceptedConnection, AcceptedConnections, HeaderTooLarge
from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import ApiKey
from shosei.wire.connection import Headers
from shosei.wire.openai import error_body

STOPPED = "The gateway is being stopped"
JSON = [(b"content-type", b"application/json")]
_RETRY_LATER = [(b"retry-after", b"1")]
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_MOST_WAITING = 2  # requests that were sent before the answer to the first; more are left in the kernel

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Incoming:
    body: Body
    target: bytes = b""
    headers: Headers = field(default_factory=list)
    key: ApiKey | None = None
    refusal: ApiError | None = None  # then the body is not kept

    def head(self, method: bytes) -> bytes:
        """The header again, without an offer of another protocol."""
        lines = [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([b"%s %s HTTP/1.1" % (method, self.target), *lines, b"", b""])


class Downstream(asyncio.Protocol):
    """A client's connection, one of ``others``. ``handle`` answers a call; it is cancelled if the client leaves.

    ``key_of`` lets a call in by its header, or raises ApiError: the body of one that is refused is not kept.

    ``whole`` to ``attach`` are for whoever makes the answer, ``drain`` to ``abort`` for the gateway. asyncio calls
    ``connection_…``, ``data_received`` and ``…_writing``; httptools calls ``on_…``. ``connections`` counts it,
    ``bodies`` what its requests hold.
    """

    def __init__(
        self,
        handle: Callable[[Call], Awaitable[None]],
        others: set[Downstream],
        key_of: Callable[[Call], ApiKey | None],
        connections: AcceptedConnections,
        bodies: Bodies,
    ) -> None:
        self._handle, self._others, self._key_of, self._connections = handle, others, key_of, connections
        self._bodies = bodies
        self._accepted: AcceptedConnection
        self._error: Exception | None = None  # why what came is no request
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._incoming = self._nothing_yet()
        self._waiting: deque[Call] = deque()
        self._call: Call | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = self._paused = False
        self._chunked = self._bodiless = False  # how the answer under way is framed
        self.begun = False  # the answer's header was written
        self.gone = False
        self._on_pause: Callable[[bool], None] | None = None

    def whole(self, status: int, body: bytes, headers: Headers = JSON) -> None:
        """A whole answer."""
        self.begin(status, [*headers, (b"content-length", b"%d" % len(body))])
        if not self._bodiless:
            self._write(body)

    def refuse(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Headers | None = None,
    ) -> None:
        """An error in OpenAI's form."""
        body = msgspec.json.encode(error_body(status, message, code=code, param=param))
        self.whole(status, body, [*JSON, *(headers or [])])

    def turns_away(self, path: str) -> bool:
        """Whether no call for ``path`` can be answered now. If so, it has been refused."""
        if reason := self._accepted.refusal(path):
            self._closing = True
            self.refuse(503, reason, code="unavailable", headers=_RETRY_LATER)
        return bool(reason)

    def begin(self, status: int, headers: Headers) -> None:
        """The header. Pieces follow, unless the answer has no body; in chunks where it has no ``content-length``."""
        call = self._call
        self.begun, self._chunked = True, False
        self._bodiless = status in _BODILESS or (call is not None and call.method == "HEAD")
        if status == HTTPStatus.NO_CONTENT:
            headers = [header for header in headers if header[0] != b"content-length"]
        lines = [b"HTTP/1.1 %d %s" % (status, _phrase(status))]
        lines += [b"%s: %s" % header for header in headers]
        if not (self._bodiless or any(name == b"content-length" for name, _ in headers)):
            if call and call.chunked:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked")
            else:
                self._closing = True  # the answer ends with the connection
        if self._closing or not (call and call.keep_alive):
            self._closing = True
            lines.append(b"connection: close")
        self._write(b"\r\n".join([*lines, b"", b""]))

    def piece(self, data: bytes) -> None:
        """A part of the answer, at once."""
        if data and not self._bodiless:
            self._write(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """The last piece was written."""
        if self._chunked:
            self._write(b"0\r\n\r\n")

    def cut(self) -> None:
        """End the connection within the answer, so that nobody takes what there is for the whole."""
        self._transport.close()

    def attach(self, on_pause: Callable[[bool], None] | None) -> None:
        """Whom to tell that the client reads more slowly than the answer comes (True), and that it has caught up."""
        self._on_pause = on_pause
        if on_pause and self._paused:
            on_pause(True)

    def drain(self) -> None:
        """Take no more calls; close when the answer under way has ended."""
        self._closing = True
        if self._task is None:
            self._transport.close()

    @property
    def peer(self) -> str:
        """The address that the client's connection comes from."""
        address = self._transport.get_extra_info("peername")
        return str(address[0]) if address else ""

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._task is not None

    def cancel(self) -> None:
        """End the call under way."""
        if self._task:
            self._task.cancel()

    def abort(self) -> None:
        """End the connection, though the client has not read everything."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not one of asyncio's classes
        self._others.add(self)
        self._accepted = AcceptedConnection(self._connections, self._transport, self._reject)

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        self._accepted.lost()
        self._others.discard(self)
        for body in (self._incoming.body, *(call.kept for call in self._waiting)):
            body.release()
        self._waiting.clear()
        self.cancel()

    def data_received(self, data: bytes) -> None:
        if self._accepted.takes(data):
            self._parse(data)
            self._accepted.parsed(self._error)

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                method, self._parser = self._parser.get_method(), httptools.HttpRequestParser(self)
                if method == b"CONNECT":
                    self._reject(405, "This is not a tunnel")
                    return
                # An offer of HTTP/2, as Java's client makes it: not taken, so the request is read as if without it.
                data = self._incoming.head(method) + data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._error = self._error or error
                return

    def pause_writing(self) -> None:
        self._accepted.paused(True)
        self._pause(True)

    def resume_writing(self) -> None:
        self._accepted.paused(False)
        self._pause(False)

    def on_message_begin(self) -> None:
        self._accepted.begun()
        self._incoming = self._nothing_yet()

    def on_url(self, url: bytes) -> None:
        self._incoming.target += url
        self._note(len(url), fields=0)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._incoming.headers.append((name.lower(), value))
        self._note(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._accepted.header_ended()
        call, body = self._call_of(self._incoming), self._incoming.body
        body.measured = call.api is not None
        try:
            self._incoming.key = self._key_of(call)
        except ApiError as error:
            self._incoming.refusal, body.unwanted = error, True
            return
        if self._task is None and (b"expect", b"100-continue") in self._incoming.headers:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._accepted.body(len(data))
        try:
            self._incoming.body.add(data)
        except ApiError as error:
            self._reject(error.status, error.message)

    def on_message_complete(self) -> None:
        if self._closing or self._parser.should_upgrade():
            return
        self._accepted.whole()
        call = self._call_of(self._incoming, self._incoming.body.whole())
        self._incoming = self._nothing_yet()  # what came is the call's now
        if self._task is None:
            self._start(call)
        else:
            self._waiting.append(call)
            if len(self._waiting) >= _MOST_WAITING:
                self._transport.pause_reading()

    def _nothing_yet(self) -> _Incoming:
        return _Incoming(Body(self._bodies, self._give_up))

    def _call_of(self, incoming: _Incoming, body: bytes = b"") -> Call:
        parser = self._parser
        return Call(
            self,
            parser.get_method().decode("latin-1"),
            incoming.target,
            incoming.headers,
            body,
            time.monotonic_ns(),
            parser.should_keep_alive(),
            parser.get_http_version() != "1.0",
            incoming.body,
            incoming.key,
            incoming.refusal,
        )

    def _write(self, data: bytes) -> None:
        if not self.gone:  # a client may leave at the last piece, before the end
            self._transport.write(data)

    def _pause(self, waits: bool) -> None:
        self._paused = waits
        if self._on_pause:
            self._on_pause(waits)

    def _give_up(self) -> None:
        """The memory of the body that is coming is needed for others."""
        self._reject(
            503,
            f"All bodies together may take {self._bodies.limit} bytes (--body-memory), and this one was the slowest "
            "to come: try again later",
        )

    def _note(self, size: int, *, fields: int = 1) -> None:
        try:
            self._accepted.header(size, fields=fields)
        except HeaderTooLarge as error:
            self._error = error  # httptools would tell of it only that there was one
            raise

    def _reject(self, status: int, message: str) -> None:
        """Refuse what is not a whole request; nothing that follows it can be told apart."""
        if self._task is not None:
            self._transport.close()
        elif not self._closing:
            self._closing = True
            self._incoming.body.release()
            self.refuse(status, message, headers=_RETRY_LATER if status == HTTPStatus.SERVICE_UNAVAILABLE else None)
            self._accepted.linger()

    def _start(self, call: Call) -> None:
        self._call, self.begun = call, False
        self._task = asyncio.get_running_loop().create_task(cast(Any, self._handle(call)))
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The call under way has its answer, whatever it is; on with the next."""
        self._task, self._on_pause = None, None
        self._accepted.answered()
        if self._call:
            self._call.kept.release()
        if not task.cancelled() and (error := task.exception()):
            _log.error("a call failed", exc_info=error)
            self._closing = True
            if not self.begun:
                self.refuse(500, "The gateway failed; its log says why")
        elif task.cancelled():
            self._closing = True
            if not self.begun:
                self.refuse(503, STOPPED, code="stopped", headers=_RETRY_LATER)
        if self._closing:
            self._transport.close()
        elif self._waiting:
            self._transport.resume_reading()
            self._start(self._waiting.popleft())


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
