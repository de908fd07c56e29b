"""Requests that no route can read: a wrong path or method, or a body that is no JSON object. The framework's own words
name no cause."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request

_SHOWN = 100  # characters of what a client sent
_NO_PATH = "This server has no {path}: OpenAI's paths begin with /v1, and so a client's base URL ends with /v1"
_NOT_OURS = (
    "This server has no {path}: of OpenAI's API it has /v1/chat/completions, /v1/completions and /v1/models, "
    "and /v1/feedback of its own"
)


def cause(request: Request, exception: Exception) -> str:
    """What is wrong with ``request``, for the client; empty where ``exception`` says it itself."""
    path, method = request.url.path[:_SHOWN], request.method
    match exception:
        case HTTPException(status_code=404, detail="Not Found"):
            return (_NOT_OURS if path.startswith("/v1/") else _NO_PATH).format(path=path)
        case HTTPException(status_code=405):
            return f"{path} takes {(exception.headers or {}).get('Allow', 'another method')}, not {method}"
        case HTTPException(status_code=400):
            return _of_bytes(request.headers, exception.__cause__)
        case RequestValidationError():
            return _of_body(exception)
    return ""


def _of_bytes(headers: Headers, error: BaseException | None) -> str:
    """Why the bytes of a body could not be read as JSON."""
    if coding := headers.get("content-encoding"):
        return f"Content-Encoding {coding[:_SHOWN]} is not read: send the body as it is"
    return "The body is nested too deeply" if isinstance(error, RecursionError) else ""


def _of_body(error: RequestValidationError) -> str:
    """What is wrong with the whole of a body; empty where only a field of it is."""
    fault = max(error.errors(), key=lambda each: len(each["loc"]))
    if len(fault["loc"]) > 1:
        return ""
    if fault["type"] == "missing":
        return "The body is empty: send a JSON object"
    return "The body must be a JSON object"
