"""Where answers come from: the model server behind the gateway, over kept-alive connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from shosei.gateway.call import KEY_PREFIX, Call
from shosei.gateway.hop import sent_on
from shosei.wire.api_keys import bearer
from shosei.wire.connection import Broken, Connection, Headers, NotConnected, Pool, Reader
from shosei.wire.endpoint import Endpoint, read_key

_ENCODING = b"accept-encoding"
_WITH_BODY = ("POST", "PUT", "PATCH")  # which are sent with a length even if it is 0 (RFC 9110, 8.6)


class NotRecorded(Exception):
    """A recording has no answer to this request."""


FAILURES = (NotConnected, Broken, TimeoutError, NotRecorded)  # of a source


class Failure(NamedTuple):
    """What a client is told of a source that gives no answer; ``error`` as in the ``request`` event."""

    status: int
    message: str
    code: str
    error: str


def failure_of(error: Exception, *, begun: bool = False) -> Failure:
    """What one of FAILURES means, where the answer's header had come (``begun``) or not."""
    if isinstance(error, NotRecorded):
        return Failure(404, str(error), "not_recorded", "4xx")
    if isinstance(error, TimeoutError):
        return Failure(504, "the upstream was silent for too long", "upstream_timeout", "timeout")
    if isinstance(error, NotConnected):
        # What this machine has no connection for, the upstream has no part in.
        kind = "cancelled" if error.exhausted else "connect"
        return Failure(502, str(error), f"upstream_{kind}", kind)
    kind = "cut stream" if begun else "connect"
    return Failure(502, f"the upstream's answer broke off: {error}", f"upstream_{kind.replace(' ', '_')}", kind)


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
                more = paced.sent(call.spool.pieces()) if call.spool else ()
                return await connection.send(self._request(call), paced, more, bodiless=call.method == "HEAD")
            finally:
                call.downstream.attach(None)
                connection.resume_reading()
                self._pool.give_back(connection)

    def close(self) -> None:
        self._pool.close()

    def _request(self, call: Call) -> bytes:
        target = f"{self._endpoint.path}{call.path}{call.query or self._endpoint.query}"
        lines = [f"{call.method} {target} HTTP/1.1\r\nhost: {self._endpoint.authority}".encode("latin-1")]
        lines += [b"%s: %s" % header for header in sent_on(call.headers) if not (call.api and header[0] == _ENCODING)]
        if call.api:  # it is to be read
            lines.append(_ENCODING + b": identity")
        if call.spool or call.body_upstream or call.method in _WITH_BODY:
            lines.append(b"content-length: %d" % (call.spool.size if call.spool else len(call.body_upstream)))
        if authorization := self._authorization(call):
            lines.append(b"authorization: " + authorization)
        return b"\r\n".join([*lines, b"", call.body_upstream])

    def _authorization(self, call: Call) -> bytes:
        """By our key, or else the client's, unless that let it in here, or is the name of an agent."""
        if self._key:
            return b"Bearer " + self._key.encode("latin-1")
        authorization = dict(call.headers).get(b"authorization", b"")
        is_ours = call.key or bearer(authorization.decode("latin-1")).startswith(KEY_PREFIX)
        return b"" if is_ours else authorization


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

    def sent(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces of a request's body; an upstream that takes one is not silent."""
        for piece in pieces:
            self._limit(self._now() + self._stall_s)
            yield piece

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
