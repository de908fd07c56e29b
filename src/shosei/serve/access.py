"""Access to the model server: every request passes here before anything else sees it."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shosei.wire.access import LOOPBACK, Access, AccessRules
from shosei.wire.api_error import ApiError
from shosei.wire.key_limits import KeyLimits

_KEYLESS = ("/health", "/livez", "/readyz")
_KEYLESS_HERE = ("/metrics",)
API_KEY = "shosei.api_key"  # in the scope of a request that showed one: its name


def server_access(
    rules: AccessRules = AccessRules(),  # noqa: B008 - immutable
    host: str = LOOPBACK,
    address: str = LOOPBACK,
) -> Access:
    """Who may ask a model server that was to listen on ``host``, and does so at ``address``. Raises InputError."""
    return Access(rules, host, address, _KEYLESS, _KEYLESS_HERE)


class AccessMiddleware:
    """ASGI middleware: lets requests in by ``access``, as often as their key may ask, and refuses the rest.

    What is refused here is read no further, and leaves no event: whoever has no key cannot fill the disk.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access, self._limits = app, access, KeyLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        method = scope["method"]
        try:
            key = self._access.key_of(method, scope["path"], scope["headers"], json=method == "POST")
            with self._limits.request(key):
                scope[API_KEY] = key.name if key else ""
                await self._app(scope, receive, send)
        except ApiError as error:
            response = Response(error.body(), error.status, error.headers, media_type="application/json")
            await response(scope, receive, send)
