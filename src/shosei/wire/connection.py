"""HTTP/1.1 over kept-alive connections to one host, with times taken where the bytes arrive.

A request is written once. A connection that the server closed while it was idle is noticed before anything is written,
and another one is made; once a request was written, whatever becomes of it is its fate, and it is never sent again.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import select
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, cast

import httptools

if TYPE_CHECKING:
    from ssl import SSLContext

# Servers close connections that were idle for 5 s (uvicorn, Node) or longer. A request written in the moment of the
# close would fail though the server is well, so a connection is given up before.
_IDLE_LIMIT_NS = 3_000_000_000


# This side has no more: open files, of the process or of the machine; local ports.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL)


class NotConnected(ConnectionError):
    """No connection could be made: nothing was sent. ``exhausted``: this machine, not the server, is at its limit."""

    def __init__(self, message: str, *, exhausted: bool) -> None:
        super().__init__(message)
        self.exhausted = exhausted


class Broken(ConnectionError):
    """The connection ended, or something else than HTTP came, before the answer was whole."""


Headers = list[tuple[bytes, bytes]]  # names in lower case


def values_of(headers: Headers, name: bytes) -> list[str]:
    """The values of all fields of that name."""
    return [value.decode("latin-1").strip() for each, value in headers if each == name]


class Reader(Protocol):
    """Who is told of an answer as it comes, at monotonic nanoseconds. ``ended`` says that the rest does not matter."""

    ended: bool

    def begin(self, status: int, headers: Headers, first_byte_ns: int) -> None: ...
    def feed(self, data: bytes, now_ns: int) -> None: ...


PAGE_BYTES = 1 << 24  # of an answer that is read whole; more than that is a body without end
_HEADER_BYTES = 1 << 20


class Page:
    """An answer that is read whole, up to ``PAGE_BYTES``."""

    def __init__(self) -> None:
        self.ended, self.status, self.body = False, 0, b""

    def begin(self, status: int, _headers: Headers, _first_byte_ns: int) -> None:
        self.status = status

    def feed(self, data: bytes, _now_ns: int) -> None:
        self.body += data
        self.ended = len(self.body) > PAGE_BYTES


class Pool:
    """Connections to a host."""

    def __init__(self, host: str, port: int, *, tls: bool) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    async def send(self, request: bytes, reader: Reader) -> int:
        """Write a whole request and read its answer to the end; return when its last byte came.

        Raises NotConnected or Broken. A caller that is cancelled meanwhile leaves no connection behind.
        """
        connection = await self.take()
        try:
            return await connection.send(request, reader)
        finally:
            self.give_back(connection)

    async def take(self) -> Connection:
        """A connection to send one request over, to be given back. Raises NotConnected."""
        connection = self._rested() or await self._connect()
        self._busy.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep the connection for the next request, or end it where its answer was not read to the end."""
        self._busy.discard(connection)
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        """End every connection; what is under way is Broken."""
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()

    def _rested(self) -> Connection | None:
        """Of the idle connections that can still be written to, the one used last."""
        while self._idle:
            connection = self._idle.pop()
            if connection.alive():
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        context = tls_context() if self._tls else None
        try:
            _, connection = await loop.create_connection(Connection, self._host, self._port, ssl=context)
        except OSError as error:
            message = f"cannot connect to {self._host}:{self._port}: {error.strerror or error}"
            raise NotConnected(message, exhausted=error.errno in _EXHAUSTED) from None
        return connection


@functools.cache
def tls_context() -> SSLContext:
    import ssl

    return ssl.create_default_context()


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self) -> None:
        self.reusable = False
        self._writable = asyncio.Event()  # the server takes what is written
        self._writable.set()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._reader: Reader
        self._answer: asyncio.Future[int] | None = None  # when its last byte came
        self._headers: Headers = []
        self._first_ns: int | None = None
        self._now_ns = 0
        self._header_bytes = 0
        self._begun = False  # the final header came
        self._framed = False  # it says where the body ends; else the body ends with the connection
        self._bodiless = False  # the answer ends with its header, whatever that says of a body

    async def send(self, request: bytes, reader: Reader, more: Iterable[bytes] = (), *, bodiless: bool = False) -> int:
        """As ``Pool.send``, over this connection. An answer to HEAD is ``bodiless``.

        ``more`` of the request is written as fast as the server takes it, until it answers.
        """
        self._reader, self._first_ns, self._headers = reader, None, []
        self.reusable = self._begun = self._framed = False
        self._header_bytes, self._bodiless = 0, bodiless
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._transport.write(request)
        for piece in more:
            await self._writable.wait()
            if answer.done():  # the server knows enough
                self.reusable = False
                break
            self._transport.write(piece)
        return await answer

    def alive(self) -> bool:
        """Whether a request can be written: no end has come, not even one that the event loop has yet to read."""
        rested_ns = time.monotonic_ns() - self._now_ns
        return self.reusable and rested_ns < _IDLE_LIMIT_NS and not self._poll.poll(0)

    def abort(self) -> None:
        self._transport.abort()

    def pause_reading(self) -> None:
        """Leave what comes in the kernel's buffers, so that the server has to wait, until ``resume_reading``."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not one of asyncio's classes
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        self._now_ns = time.monotonic_ns()
        if self._answer is None or self._answer.done():  # nobody asked
            self.reusable = False
            self.abort()
            return
        self._first_ns = self._first_ns or self._now_ns
        self._header_bytes += 0 if self._begun else len(data)
        if self._header_bytes > _HEADER_BYTES:
            self._break("its header does not end")
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._break(f"the answer is not HTTP: {error}")
            return
        if self._begun and self._reader.ended:
            self._finish(reusable=False)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        self._writable.set()
        if self._begun and not self._framed and not error:
            self._now_ns = time.monotonic_ns()
            self._finish(reusable=False)
        else:
            self._break(str(error or "the server closed the connection"))

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers.append((name, value))
        if name in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self._begun = True
            self._reader.begin(status, self._headers, self._first_ns or self._now_ns)
            if self._bodiless:
                self._finish(reusable=False)

    def on_body(self, data: bytes) -> None:
        self._reader.feed(data, self._now_ns)

    def on_message_complete(self) -> None:
        if self._begun:
            self._finish(reusable=self._parser.should_keep_alive())
        else:  # 100 Continue and its like precede the answer
            self._framed, self._first_ns, self._headers = False, None, []

    def _finish(self, *, reusable: bool) -> None:
        if self._answer and not self._answer.done():
            self.reusable = reusable
            self._answer.set_result(self._now_ns)
            self._writable.set()  # nobody waits for the rest of the request

    def _break(self, reason: str) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(Broken(reason))
