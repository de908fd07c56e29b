"""Every error leaves the server in OpenAI's form, whatever raised it."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shosei.engine.client import EngineLost, GenerationFailed
from shosei.errors import InputError
from shosei.serve.middleware import EVENT, REFUSAL
from shosei.serve.unreadable import cause
from shosei.wire.api_error import ApiError
from shosei.wire.feedback import Feedback

CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"


def api_error(error: Exception) -> ApiError:
    """What the client is told of ``error``. Of an unforeseen one it is told only that it was ours."""
    match error:
        case ApiError():
            return error
        case InputError():
            return ApiError(400, str(error), param=error.param)
        case RequestValidationError():
            return _invalid(error)
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


def check_unicode(text: str, param: str) -> None:
    """Raise ApiError if ``text`` cannot be written down."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ApiError(400, "a lone surrogate is not a character", param=param) from None


def install(app: FastAPI) -> None:
    """Answer every exception that leaves a route with an error body."""

    async def answer(request: Request, exception: Exception) -> Response:
        error = api_error(exception)
        error.message = cause(request, exception) or error.message
        request.scope[REFUSAL] = error.code or str(error.status)
        event = request.scope.get(EVENT)
        if event and error.code == CONTEXT_LENGTH_EXCEEDED:
            event.error = "context limit"
        headers = {**error.headers, **(getattr(exception, "headers", None) or {})}
        return Response(error.body(), error.status, headers, media_type="application/json")

    # Those that FastAPI has handlers of its own for, and everything else.
    for kind in (RequestValidationError, HTTPException, ApiError, InputError, EngineLost, GenerationFailed, Exception):
        app.add_exception_handler(kind, answer)


def _invalid(error: RequestValidationError) -> ApiError:
    # Of the branches of a union, the one that came furthest is what the client meant.
    fault = max(error.errors(), key=lambda each: len(each["loc"]))
    _, *location = fault["loc"]  # the first part is "body"
    if fault["type"] == "json_invalid":
        return ApiError(400, f"The body is not JSON: {fault['ctx']['error']} at character {location[0]}")
    param = _param(location)
    if fault["type"] == "extra_forbidden":  # only feedback refuses what it does not know
        return ApiError(400, f"Unknown field '{param}'; known: {', '.join(Feedback.model_fields)}", param=param)
    return ApiError(400, f"{param}: {fault['msg'].removeprefix('Value error, ')}", param=param)


def _param(location: list[int | str]) -> str:
    """``["messages", 0, "content", "str"]`` to ``messages[0].content``: branches of unions, named by type, are left
    out."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _TYPES and "[" not in part and not part[:1].isupper():
            path += f".{part}" if path else part
    return path


_TYPES = ("str", "int", "float", "bool")
