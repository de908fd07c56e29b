"""How a model writes a call of a tool. Formats differ in a few strings only, which stand here."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from shosei.errors import InputError


@dataclass(frozen=True, slots=True)
class CallFormat:
    """A call is ``begin``, ``head``, ``{"name": NAME, KEY: ARGUMENTS}``, ``tail``, ``end``.

    A string that the tokenizer has as a token of its own means that token, any other means its characters; ``head``,
    ``tail`` and ``between`` are several in turn. ``between`` stands between two calls; None: an answer is one call or
    none. Without a ``begin`` an answer is a call if it begins as one. ``separators`` are JSON's, of items and keys.
    """

    begin: str
    head: tuple[str, ...]
    key: str
    tail: tuple[str, ...]
    end: str
    between: tuple[str, ...] | None
    separators: tuple[str, str] = (", ", ": ")

    def head_of(self, name: str) -> str:
        """The JSON of a call of ``name`` up to its arguments."""
        item, colon = self.separators
        return f'{{"name"{colon}{json.dumps(name, ensure_ascii=False)}{item}"{self.key}"{colon}'

    def write(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The text of one call."""
        body = self.head_of(name) + json.dumps(arguments, ensure_ascii=False, separators=self.separators) + "}"
        return "".join([self.begin, *self.head, body, *self.tail, self.end])


_INTERNLM = ("<|action_start|>", ("<|plugin|>", "\n"), "parameters", (), "<|action_end|>", ())
OURS = CallFormat(*_INTERNLM, separators=(",", ":"))
HERMES = CallFormat("<tool_call>", ("\n",), "arguments", ("\n",), "</tool_call>", ("\n",))  # Qwen's too
# The last has no begin and so could be found within another.
KNOWN = (
    OURS,
    CallFormat(*_INTERNLM),
    HERMES,
    CallFormat("", (), "parameters", (), "", None),  # Llama 3's
)


def parsed(arguments: Any) -> Any:
    """A call's arguments as JSON's values; an empty text, as many clients send it, and ``null`` are no arguments.

    What is not valid JSON, as of a call that was cut off, stays as it is.
    """
    if arguments is None or (isinstance(arguments, str) and arguments.strip() in ("", "null")):
        return {}
    if not isinstance(arguments, str):
        return arguments
    try:
        value = json.loads(arguments)
        json.dumps(value, ensure_ascii=False).encode()  # an escaped lone surrogate is not a character
    except (ValueError, RecursionError):
        return arguments
    return arguments if isinstance(value, str) else value


def as_object(arguments: Any) -> dict[str, Any]:
    """A call's arguments for a layout that takes nothing but an object: of a call that was cut off, what came whole.

    Raises InputError for what is neither an object nor the beginning of one.
    """
    value = parsed(arguments)
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = from_json(value, allow_partial="trailing-strings")
    if not isinstance(value, dict):
        raise InputError("the arguments of a tool call must be a JSON object", param="messages")
    return value
