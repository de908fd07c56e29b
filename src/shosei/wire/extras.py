"""What a server wants of a request beside the API: fields of the header, and fields of the body."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from shosei.errors import InputError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_OWN_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
_OWN_FIELDS = {"messages", "prompt", "stream"}


def _header(line: str) -> str:
    name, colon, value = line.partition(":")
    if not colon or not _NAME.fullmatch(name.strip()) or not (value.isascii() and value.strip().isprintable()):
        raise InputError("a header field is written as 'Name: value'")  # without its words, which may be a secret
    if name.strip().lower() in _OWN_HEADERS:
        raise InputError(f"the header field '{name.strip()}' follows from the request itself: leave it out")
    return line


def _body(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except (ValueError, RecursionError) as error:
            raise InputError(f"extra_body is not JSON: {error}: write it as '{{\"top_k\": 20}}'") from None
    if not isinstance(value, dict):
        raise InputError("extra_body is no JSON object: write it as '{\"top_k\": 20}'")
    if own := sorted(_OWN_FIELDS & value.keys()):
        raise InputError(f"extra_body: '{own[0]}' follows from what is asked: leave it out")
    return value


# Types of settings. Let a setting of the first kind be excluded where settings are kept: a value may be a secret.
Headers = list[Annotated[str, AfterValidator(_header)]]
ExtraBody = Annotated[dict[str, Any], BeforeValidator(_body)]


def header_fields(lines: Iterable[str]) -> dict[str, str]:
    """Names and values of the lines."""
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def with_extra(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` with the fields of ``extra``, and without those that are None there."""
    merged = {**body, **extra}
    return {name: value for name, value in merged.items() if not (name in extra and value is None)}


def without_secrets(argv: Sequence[str], lines: Iterable[str]) -> list[str]:
    """A command's words without the values of its header fields."""
    values = [value for value in header_fields(lines).values() if value]
    for value in sorted(values, key=len, reverse=True):
        argv = [word.replace(value, "…") for word in argv]
    return list(argv)
