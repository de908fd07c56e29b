"""The access log: a line of JSON for each HTTP request, without a word of what was asked or answered."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shosei.serve.access import API_KEY
from shosei.serve.middleware import EVENT, REFUSAL


class AccessLogMiddleware:
    """ASGI middleware: hands ``write`` one line, without its end, for each HTTP request that is over."""

    def __init__(self, app: ASGIApp, write: Callable[[str], None]) -> None:
        self._app, self._write = app, write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began_ns, status = time.monotonic_ns(), 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            self._write(msgspec.json.encode(_entry(scope, status, began_ns)).decode())


def _entry(scope: Scope, status: int, began_ns: int) -> dict[str, object]:
    """Times in seconds; null where the moment never came, and 0 for the status of an answer that never began."""
    event, path = scope.get(EVENT), scope["path"]
    entry: dict[str, object] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "id": event.id if event else None,
        "method": scope["method"],
        "path": path.encode("utf-8", "replace").decode(),
        "status": status,
        "duration_s": round((time.monotonic_ns() - began_ns) / 1e9, 4),
        "key": scope.get(API_KEY) or None,
        "error": scope.get(REFUSAL) or (event.error if event else "") or (str(status) if status >= 400 else None),
    }
    if event:
        first_ns = event.first_token_ns
        entry["tokens_in"], entry["tokens_out"] = event.tokens_in, event.tokens_out
        entry["first_token_s"] = None if first_ns is None else round((first_ns - began_ns) / 1e9, 4)
    return entry
