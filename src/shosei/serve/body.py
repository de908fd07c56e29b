"""The body of a request, before anybody reads its fields: UTF-8 as JSON has it, and no character that is none."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from shosei.wire.api_error import ApiError

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # escaped; those of a pair are one character


class JsonRoute(APIRoute):
    """A route that refuses bodies with text that cannot be written down, wherever in them it stands."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            with contextlib.suppress(ClientDisconnect):  # which the handler meets, too
                if "content-encoding" not in request.headers:
                    check_text(await request.body())
            return await handle(request)

        return checked


def check_text(body: bytes) -> None:
    """Raise ApiError (400) for JSON that is not in UTF-8 (RFC 8259, 8.1), or has half a surrogate pair in a text."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise ApiError(400, f"The body is not UTF-8 at byte {error.start}") from None
    if b"\0" in body:  # no JSON has it, but UTF-16 without its mark is read as JSON by whoever guesses encodings
        raise ApiError(400, f"The body is not UTF-8: byte {body.index(0)} is zero")
    if not _SURROGATE.search(body):
        return
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # what is no JSON is refused by whoever reads its fields
        return
    if (path := next(_unwritable(value), None)) is not None:
        raise ApiError(400, f"{path}: a lone surrogate is not a character", param=path)


def _unwritable(value: Any) -> Iterator[str]:
    """The paths of the texts and names that have lone surrogates, such as ``messages[0].content``."""
    left = [("", value)]
    while left:
        path, value = left.pop()
        if isinstance(value, str):
            if not _is_writable(value):
                yield path
        elif isinstance(value, list):
            left += [(f"{path}[{number}]", each) for number, each in enumerate(value)]
        elif isinstance(value, dict):
            named = [(f"{path}.{name}" if path else name, name, each) for name, each in value.items()]
            yield from (place for place, name, _ in named if not _is_writable(name))
            left += [(place, each) for place, _, each in named]


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
