"""Where answers come from: the model server behind the gateway, over kept-alive connections."""

from __future__ import annotations

import asyncio
from typing import Protocol

from shosei.gateway.call import KEY_PREFIX, Call, bearer
from shosei.wire.connection import Connection, Headers, Pool, Reader
from shosei.wire.endpoint import Endpoint, read_key

# Of the connection to the client, or meant for the gateway. Host, length, key and encoding are set again.
_NOT_SENT_ON = frozenset(
    {
        b"accept-encoding",
        b"authorization",
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"x-agent",
        b"x-task",
    }
)


class NotRecorded(Exception):
    """A recording has no answer to this request."""


class Source(Protocol):
    """The upstream, or a recording of it.

    It tells ``reader`` of the answer at the speed of the client, and returns when its last byte came. Raises
    NotConnected, Broken, NotRecorded, or TimeoutError where nothing came for too long. Cancelled, it leaves no request
    behind.
    """

    async def answer(self, call: Call, reader: Reader) -> int: ...
    def close(self) -> None: ...


class Upstream:
    """The model server at ``url``, whose longest silence is ``stall_s``.

    Raises InputError for a URL or a key that cannot be one.
    """

    def __init__(self, url: str, key_variable: str, stall_s: float) -> None:
        self._endpoint = endpoint = Endpoint.of(url)
        self._pool = Pool(endpoint.host, endpoint.port, tls=endpoint.tls)
        self._key, self._stall_s = read_key(key_variable), stall_s

    async def answer(self, call: Call, reader: Reader) -> int:
        async with asyncio.timeout(self._stall_s) as silence:
            connection = await self._pool.take()
            paced = _Paced(connection, reader, silence, self._stall_s)
            call.downstream.attach(paced.pause)
            try:
                return await connection.send(self._request(call), paced)
            finally:
                call.downstream.attach(None)
                connection.resume_reading()
                self._pool.give_back(connection)

    def close(self) -> None:
        self._pool.close()

    def _request(self, call: Call) -> bytes:
        target = f"{self._endpoint.path}{call.path}{call.query or self._endpoint.query}"
        lines = [f"{call.method} {target} HTTP/1.1\r\nhost: {self._endpoint.authority}".encode("latin-1")]
        lines += [b"%s: %s" % header for header in call.headers if header[0] not in _NOT_SENT_ON]
        lines += [b"accept-encoding: identity", b"content-length: %d" % len(call.body_upstream)]
        if key := self._key_for(call.headers):
            lines.append(b"authorization: Bearer " + key.encode("latin-1"))
        return b"\r\n".join([*lines, b"", call.body_upstream])

    def _key_for(self, headers: Headers) -> str:
        """Ours, or else the client's, unless that is the name of an agent."""
        if self._key:
            return self._key
        key = bearer(dict(headers).get(b"authorization", b""))
        return "" if key.startswith(KEY_PREFIX) else key


class _Paced:
    """A reader whose connection waits while the client does, and whose silence has a limit otherwise."""

    def __init__(self, connection: Connection, reader: Reader, silence: asyncio.Timeout, stall_s: float) -> None:
        self.ended = False
        self._connection, self._reader = connection, reader
        self._silence, self._stall_s = silence, stall_s
        self._now = asyncio.get_running_loop().time

    def begin(self, status: int, headers: Headers, first_byte_ns: int) -> None:
        self._reader.begin(status, headers, first_byte_ns)

    def feed(self, data: bytes, now_ns: int) -> None:
        self._limit(self._now() + self._stall_s)
        self._reader.feed(data, now_ns)
        self.ended = self._reader.ended

    def pause(self, waits: bool) -> None:
        """The client does not read, or reads again."""
        if waits:
            self._connection.pause_reading()
            self._limit(None)
        else:
            self._connection.resume_reading()
            self._limit(self._now() + self._stall_s)

    def _limit(self, until: float | None) -> None:
        if not self._silence.expired():
            self._silence.reschedule(until)
