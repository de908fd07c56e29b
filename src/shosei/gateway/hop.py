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


_OF_OUR_PAGE = frozenset({b"cookie", b"origin", b"referer"})


def sent_on(headers: Headers) -> Headers:
    """A request's headers for the upstream, but for host, length and key.

    A page of the gateway's own, which the gateway let in, would be a stranger's to the upstream; its cookies are none
    of the upstream's.
    """
    return _without(headers, _NOT_SENT_ON | _OF_OUR_PAGE if _is_of_our_page(headers) else _NOT_SENT_ON)


def _is_of_our_page(headers: Headers) -> bool:
    """Whether a page of the same origin asks: browsers say so, or name the origin that the request goes to."""
    said = dict(headers)
    origin = said.get(b"origin", b"").lower().partition(b"://")[2]
    return said.get(b"sec-fetch-site") == b"same-origin" or (origin != b"" and origin == said.get(b"host", b"").lower())


def handed_on(headers: Headers) -> Headers:
    """An answer's headers for the client."""
    return _without(headers, _OF_A_CONNECTION)


def _without(headers: Headers, names: frozenset[bytes]) -> Headers:
    """The headers but for these names and those that ``Connection`` gives to the connection (RFC 9110, 7.6.1)."""
    for name, value in headers:
        if name == b"connection":
            names = names | {token.strip().lower() for token in value.split(b",")}
    return [header for header in headers if header[0] not in names]
