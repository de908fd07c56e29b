"""One HTTP request with its answer: who asks, what becomes of it, and the event and the log line that tell of it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shosei.log import Request, Writer
from shosei.log.secret import AnswerIds
from shosei.serve.counters import Counters
from shosei.wire.access import LOOPBACK, Access, AccessRules
from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import KeyLimits
from shosei.wire.openai import ID_PREFIXES
from shosei.wire.proxies import Sender

PURPOSE_HEADER = b"x-shosei-purpose"
PURPOSES = ("load", "exam", "agents", "chat", "judge", "probe", "warm-up")
TIMEOUT_HEADER = "x-request-timeout"
_EXCHANGE = "shosei.exchange"  # in the scope of a request
_KEYLESS = ("/health", "/livez", "/readyz")
_KEYLESS_HERE = ("/metrics",)


@dataclass(slots=True)
class Exchange:
    """What the server knows of a request that it is answering.

    ``event`` is what the run's log will have of it; one that is no completion request has no id there, and is not
    written.
    """

    event: Request
    sender: Sender
    refusal: str = ""  # why it was refused, in a word, if it was
    ignored: Sequence[str] = ()  # its fields that change nothing
    timeout_s: float | None = None  # from its arrival; None: it may take any time

    @classmethod
    def of(cls, scope: Scope) -> Exchange:
        """That of the request with this ASGI scope, begun by whoever asks first."""
        if _EXCHANGE not in scope:
            now, purpose = time.monotonic_ns(), _header(scope, PURPOSE_HEADER) or b""
            event = Request("", purpose.decode("latin-1"), seen_by="server", scheduled_ns=now, sent_ns=now)
            event.purpose = event.purpose if event.purpose in PURPOSES else "chat"
            scope[_EXCHANGE] = cls(event, Sender((scope.get("client") or ("",))[0]))
        exchange: Exchange = scope[_EXCHANGE]
        return exchange

    @property
    def client(self) -> str:
        """Who takes turns with others: the API key that the request showed, by its name, or the address."""
        return self.event.api_key or self.sender.address

    def limit_time(self, *seconds: float | None) -> None:
        """Its answer is worth nothing after the least of these, from its arrival; None: at any time."""
        self.timeout_s = min((each for each in seconds if each is not None), default=None)

    @property
    def left_s(self) -> float | None:
        """Seconds until its answer is late, never fewer than none; None where it may take any time."""
        if self.timeout_s is None:
            return None
        return max(0.0, self.timeout_s - (time.monotonic_ns() - self.event.scheduled_ns) / 1e9)

    def late(self) -> ApiError:
        """What the client of a late answer is told."""
        return ApiError(
            504, f"The answer was not done within {self.timeout_s:g} s, the request's timeout", code="timeout"
        )


def timeout_in_header(scope: Scope) -> float | None:
    """Seconds that the answer may take, as a header has it. Raises ApiError for what is no time."""
    text = _header(scope, TIMEOUT_HEADER.encode())
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ApiError(400, f"{TIMEOUT_HEADER} must be a number of seconds above 0", param=TIMEOUT_HEADER)
    return seconds


def server_access(
    rules: AccessRules = AccessRules(),  # noqa: B008 - immutable
    host: str = LOOPBACK,
    address: str = LOOPBACK,
    keyless: Iterable[str] = (),
) -> Access:
    """Who may ask a model server that was to listen on ``host``, and does so at ``address``. ``keyless`` are further
    paths that ask for no key. Raises InputError."""
    return Access(rules, host, address, {*_KEYLESS, *keyless}, _KEYLESS_HERE)


class AccessMiddleware:
    """ASGI middleware: lets requests in by ``access``, as often as their key may ask, and refuses the rest.

    What is refused here is read no further, and leaves no event: whoever has no key cannot fill the disk.
    """

    def __init__(self, app: ASGIApp, access: Access, counters: Counters) -> None:
        self._app, self._access, self._limits, self._counters = app, access, KeyLimits(), counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        exchange, method = Exchange.of(scope), scope["method"]
        exchange.sender = self._access.proxies.sender(exchange.sender.address, scope["headers"])
        if exchange.sender.secure:
            scope["scheme"] = "https"  # where a redirect leads
        try:
            key = self._access.key_of(method, scope["path"], scope["headers"], json=method == "POST")
            with self._limits.request(key):
                exchange.event.api_key = key.name if key else ""
                await self._app(scope, receive, send)
        except ApiError as error:
            exchange.refusal = error.code or str(error.status)
            self._counters.refused(exchange.refusal)
            response = Response(error.body(), error.status, error.headers, media_type="application/json")
            await response(scope, receive, send)


class EventMiddleware:
    """ASGI middleware: has a ``request`` event in the log for each completion request, and counts it.

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
        exchange = Exchange.of(scope)
        event = exchange.event
        event.id = self._ids.new(prefix)
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
            self._close(exchange)

    def _close(self, exchange: Exchange) -> None:
        event = exchange.event
        event.done_ns = time.monotonic_ns()
        event.error = event.error or _error_of(event.status)
        event.first_try_error = event.error
        self._counters.count(event, exchange.refusal)
        if self._writer:
            self._writer.emit(event)


class AccessLogMiddleware:
    """ASGI middleware: hands ``write`` one line of JSON, without its end, for each HTTP request that is over; it has no
    word of what was asked or answered."""

    def __init__(self, app: ASGIApp, write: Callable[[str], None]) -> None:
        self._app, self._write = app, write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        exchange, status = Exchange.of(scope), 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            self._write(msgspec.json.encode(_entry(scope, exchange, status)).decode())


def _entry(scope: Scope, exchange: Exchange, status: int) -> dict[str, object]:
    """Times in seconds; null where the moment never came, and 0 for the status of an answer that never began."""
    event, path = exchange.event, scope["path"]

    def since_arrival_s(moment_ns: int | None) -> float | None:
        return None if moment_ns is None else round((moment_ns - event.scheduled_ns) / 1e9, 4)

    entry: dict[str, object] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "id": event.id or None,
        "method": scope["method"],
        "path": path.encode("utf-8", "replace").decode(),
        "status": status,
        "duration_s": since_arrival_s(time.monotonic_ns()),
        "key": event.api_key or None,
        "error": exchange.refusal or event.error or (str(status) if status >= 400 else None),
    }
    if event.id:
        entry["tokens_in"], entry["tokens_out"] = event.tokens_in, event.tokens_out
        entry["first_token_s"] = since_arrival_s(event.first_token_ns)
    return entry


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


def _header(scope: Scope, name: bytes) -> bytes | None:
    value: bytes | None = dict(scope["headers"]).get(name)
    return value


def _error_of(status: int | None) -> str:
    if status is None:
        return "disconnect"
    if status < 400:
        return ""
    return "429" if status == 429 else "4xx" if status < 500 else "5xx"
