"""What is wrong with a body that pydantic refuses, in words for the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shosei.wire.api_error import ApiError

_TYPES = ("str", "int", "float", "bool", "constrained-int", "constrained-str")


def invalid_body(faults: Sequence[Any], known: Sequence[str] = ()) -> ApiError:
    """The error (400) of the ``faults`` that pydantic lists, whose locations begin with a field.

    ``known`` are the fields that there are, where no other may be.
    """
    # Of the branches of a union, the one that came furthest is what the client meant.
    fault = max(faults, key=lambda each: len(each["loc"]))
    if fault["type"] == "json_invalid":
        return ApiError(400, f"The body is not JSON: {fault['ctx']['error']}")
    param = _param(fault["loc"])
    if not param:
        return ApiError(400, "The body must be a JSON object")
    if fault["type"] == "extra_forbidden":
        return ApiError(400, f"Unknown field '{param}'; known: {', '.join(known)}", param=param)
    return ApiError(400, f"{param}: {fault['msg'].removeprefix('Value error, ')}", param=param)


def _param(location: Sequence[int | str]) -> str:
    """``["messages", 0, "content", "str"]`` to ``messages[0].content``: branches of unions, named by type, are left
    out."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _TYPES and "[" not in part and not part[:1].isupper():
            path += f".{part}" if path else part
    return path
