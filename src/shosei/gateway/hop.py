"""Headers that belong to one connection, not to what passes through the gateway."""

from __future__ import annotations

from shosei.wire.connection import Headers

_OF_A_CONNECTION = frozenset(
    {
        b"connection",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Set anew for the upstream, or meant for the gateway.
_NOT_SENT_ON = _OF_A_CONNECTION | {b"authorization", b"content-length", b"host", b"x-agent", b"x-task"}


def sent_on(headers: Headers) -> Headers:
    """A request's headers for the upstream, but for host, length and key."""
    return _without(headers, _NOT_SENT_ON)


def handed_on(headers: Headers) -> Headers:
    """An answer's headers for the client."""
    return _without(headers, _OF_A_CONNECTION)


def _without(headers: Headers, names: frozenset[bytes]) -> Headers:
    """The headers but for these names and those that ``Connection`` gives to the connection (RFC 9110, 7.6.1)."""
    for name, value in headers:
        if name == b"connection":
            names = names | {token.strip().lower() for token in value.split(b",")}
    return [header for header in headers if header[0] not in names]
