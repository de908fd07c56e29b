"""What a server wants of a request beside the API: fields of the header, and fields of the body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field

from shosei.config import Config
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
        raise InputError("extra_body is not a JSON object: write it as '{\"top_k\": 20}'")
    if own := sorted(_OWN_FIELDS & value.keys()):
        raise InputError(f"extra_body: '{own[0]}' follows from what is asked: leave it out")
    if "model" in value:
        raise InputError("extra_body: 'model' has an option of its own: --model NAME, which the record names")
    return value


class Extras(Config):
    """Settings of every verb that asks a server."""

    extra_body: Annotated[dict[str, Any], BeforeValidator(_body)] = Field(
        {}, description="A JSON object whose fields go into every request, or, where they are null, out of it."
    )
    header: list[Annotated[str, AfterValidator(_header)]] = Field(
        [], description="A field for the header of every request, 'Name: value'; it is kept nowhere."
    )

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="What the server calls the longest answer asked for."
    )

    @property
    def headers(self) -> dict[str, str]:
        """Names and values."""
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in self.header)}

    def extended(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """``body`` as the server wants it: with the fields of ``extra_body``, and without those that are None there."""
        named = {self.max_tokens_field if name == "max_tokens" else name: value for name, value in body.items()}
        merged = {**named, **self.extra_body}
        return {name: value for name, value in merged.items() if not (name in self.extra_body and value is None)}

    def recordable(self) -> Self:
        """The settings without header fields, whose values may be secrets."""
        return self.model_copy(update={"header": []})

    def recordable_words(self, argv: Sequence[str]) -> list[str]:
        """A command's words without the values of its header fields."""
        values = {*self.headers.values(), *(json.dumps(value)[1:-1] for value in self.headers.values())} - {""}
        words = list(argv)
        for value in sorted(values, key=len, reverse=True):
            words = [word.replace(value, "…") for word in words]
        return words
