"""What is no request is refused, and every error leaves the server in OpenAI's form, whatever raised it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from shosei.engine.client import EngineLost, GenerationFailed
from shosei.errors import InputError
from shosei.serve.exchange import Exchange
from shosei.wire.api_error import ApiError
from shosei.wire.feedback import FORMS
from shosei.wire.invalid_body import invalid_body

CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
LONG_BODY_BYTES = 1 << 16  # whose text takes some tens of milliseconds to look through, or to encode
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # escaped; those of a pair are one character
_SHOWN = 100  # characters of what a client sent
_NO_PATH = "This server has no {path}: OpenAI's paths begin with /v1, and so a client's base URL ends with /v1"
_NOT_OURS = (
    "This server has no {path}: of OpenAI's API it has /v1/chat/completions, /v1/completions and /v1/models, "
    "and /v1/feedback and /v1/survey of its own"
)


class JsonRoute(APIRoute):
    """A route that refuses bodies with text that cannot be written down, wherever in them it stands."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            with contextlib.suppress(ClientDisconnect):  # which the handler meets, too
                body = await request.body()
                try:
                    await asyncio.to_thread(check_text, body) if len(body) > LONG_BODY_BYTES else check_text(body)
                except ApiError as error:
                    raise (ApiError(400, coding) if (coding := _coding(request)) else error) from None
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


def check_unicode(text: str, param: str) -> None:
    """Raise ApiError if ``text`` cannot be written down."""
    if not _is_writable(text):
        raise ApiError(400, "a lone surrogate is not a character", param=param)


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


def install(app: FastAPI) -> None:
    """Read bodies by ``JsonRoute``, and answer every exception that leaves a route with an error body."""

    async def answer(request: Request, exception: Exception) -> Response:
        error, exchange = api_error(exception, request.url.path), Exchange.of(request.scope)
        if isinstance(exception, HTTPException):
            error.message = _cause(request, exception) or error.message
        exchange.refusal = error.code or str(error.status)
        if error.code == CONTEXT_LENGTH_EXCEEDED:
            exchange.event.error = "context limit"
        headers = {**error.headers, **(getattr(exception, "headers", None) or {})}
        return Response(error.body(), error.status, headers, media_type="application/json")

    app.router.route_class = JsonRoute
    # Those that FastAPI has handlers of its own for, and everything else.
    for kind in (RequestValidationError, HTTPException, ApiError, InputError, EngineLost, GenerationFailed, Exception):
        app.add_exception_handler(kind, answer)


def api_error(error: Exception, path: str = "") -> ApiError:
    """What the client, which asked for ``path``, is told of ``error``. Of an unforeseen one only that it was ours."""
    match error:
        case ApiError():
            return error
        case InputError():
            return ApiError(400, str(error), param=error.param)
        case RequestValidationError():
            return _invalid(error, path)
        case EngineLost():
            return ApiError(503, str(error), code="engine_lost", retry_after_s=1)
        case GenerationFailed(kind="out_of_memory"):
            return ApiError(503, str(error), code=error.kind, retry_after_s=1)
        case GenerationFailed():
            return ApiError(500 if error.kind == "engine_error" else 400, str(error), code=error.kind)
        case HTTPException():
            return ApiError(error.status_code, str(error.detail))
        case _:
            return ApiError(500, "The server failed to answer; its log says why")


def _cause(request: Request, error: HTTPException) -> str:
    """Why no route can read ``request``, for the client, where the framework's own words name no cause; or empty."""
    path, method = request.url.path[:_SHOWN], request.method
    if error.status_code == 404 and error.detail == "Not Found":
        return (_NOT_OURS if path.startswith("/v1/") else _NO_PATH).format(path=path)
    if error.status_code == 405:
        return f"{path} takes {(error.headers or {}).get('Allow', 'another method')}, not {method}"
    if error.status_code == 400:
        too_deep = isinstance(error.__cause__, RecursionError)
        return _coding(request) or ("The body is nested too deeply" if too_deep else "")
    return ""


def _coding(request: Request) -> str:
    """That its body is encoded, if its header says so; or empty."""
    coding = request.headers.get("content-encoding", "identity")
    return "" if coding == "identity" else f"Content-Encoding {coding[:_SHOWN]} is not read: send the body as it is"


def _invalid(error: RequestValidationError, path: str) -> ApiError:
    faults = error.errors()
    first = faults[0]
    if first["type"] == "json_invalid":
        return ApiError(400, f"The body is not JSON: {first['ctx']['error']} at character {first['loc'][1]}")
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return ApiError(400, "The body is empty: send a JSON object")
    form = FORMS.get(path)  # only these refuse what they do not know
    known = list(form.model_fields) if form else ()
    return invalid_body([{**fault, "loc": fault["loc"][1:]} for fault in faults], known)  # without "body"
