"""JSON of other people's servers, read as loosely as OpenAI's own client reads it."""

from __future__ import annotations

import json
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class NotAnObject(msgspec.ValidationError):
    """JSON, but a list, a number, a text or null where an object was to come."""


class LooseDecoder(Generic[T]):
    """Reads a JSON object into ``type``. What is strict JSON is read fast.

    The client reads with Python's ``json``, so ``NaN`` is a number there and half of a surrogate pair a character. The
    latter becomes U+FFFD, since no log could hold it.
    """

    def __init__(self, type: type[T]) -> None:
        self._type = type
        self._strict = msgspec.json.Decoder(type).decode

    def decode(self, data: bytes) -> T:
        """Raises one of UNREADABLE: NotAnObject for JSON that is none."""
        try:
            return self._strict(data)
        except msgspec.DecodeError as error:
            try:
                value = json.loads(data.decode())
            except ValueError:
                raise error from None
        if not isinstance(value, dict):
            raise NotAnObject(f"it is no JSON object but {type(value).__name__}")
        return msgspec.convert(_without_surrogates(value), self._type)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(inner) for name, inner in value.items()}
    return [_without_surrogates(inner) for inner in value] if isinstance(value, list) else value
