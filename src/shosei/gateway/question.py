"""A request's body: what the gateway reads of it, and what it sends on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from shosei.errors import InputError

_Fields = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder(_Fields).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Question:
    """One request to a model. Everything that the gateway need not know stays as the client wrote it."""

    fields: _Fields
    body: bytes  # what goes upstream
    stream: bool = False
    shows_usage: bool = True  # the client asked for it itself, or the answer is whole
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, body: bytes) -> Question:
        """Read ``body``; where it asks for a stream without usage, ask for that too. Raises InputError."""
        try:
            fields = _decode(body)
            question = cls(fields, body)
            question.stream = _value(fields, "stream") is True
            metadata = _value(fields, "metadata")
            options = _value(fields, "stream_options") if question.stream else None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"The body is not a JSON object: {error}") from None
        if isinstance(metadata, dict):
            question.metadata = metadata
        options = options if isinstance(options, dict) else {}
        if question.stream and not options.get("include_usage"):
            question.shows_usage = False
            asked = msgspec.Raw(_encode(options | {"include_usage": True}))
            question.body = _encode(fields | {"stream_options": asked})
        return question

    def raw(self, name: str) -> bytes:
        """A field's JSON; empty if it is absent."""
        return bytes(self.fields.get(name, b""))


def _value(fields: _Fields, name: str) -> Any:
    return msgspec.json.decode(fields[name]) if name in fields else None
