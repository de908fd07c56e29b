"""Tool calls in answers, checked against the tools that the request offered, and tool results in requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from shosei.log import ToolCall, ToolResult
from shosei.wire.reply import UNREADABLE, text_of

_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,), "array": (list,),
    "object": (dict,), "null": (type(None),),
}  # fmt: skip


class _Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    function: _Function | None = None


class _Message(msgspec.Struct):
    role: str = ""
    tool_call_id: str | None = None
    content: Any = None


_tools = msgspec.json.Decoder(list[_Tool]).decode
_messages = msgspec.json.Decoder(list[_Message]).decode


def schemas(tools: bytes | msgspec.Raw) -> dict[str, dict[str, Any]]:
    """The JSON schemas of the parameters of each function that a request offers, by name."""
    try:
        offered = [tool.function for tool in _tools(tools) if tool.function]
    except UNREADABLE:  # the upstream will say so
        return {}
    return {function.name: function.parameters or {} for function in offered}


def checked(id: str, name: str, arguments: str, offered: Mapping[str, dict[str, Any]]) -> ToolCall:
    """The call, with what is wrong with it."""
    if name not in offered:
        return ToolCall(id, name, "unknown tool")
    return ToolCall(id, name, "" if _fit(arguments, offered[name]) else "invalid arguments")


def results(messages: bytes | msgspec.Raw) -> list[ToolResult]:
    """What tools gave back since the assistant spoke last. A result that begins with "Error" is one."""
    if b'"tool"' not in bytes(messages):
        return []
    try:
        conversation = _messages(messages)
    except UNREADABLE:  # the upstream will say so
        return []
    found = []
    for message in reversed(conversation):
        if message.role == "assistant":
            break
        if message.role == "tool":
            found.append(ToolResult(message.tool_call_id or "", text_of(message.content).startswith("Error")))
    return found[::-1]


def _fit(arguments: str, schema: dict[str, Any]) -> bool:
    """Whether these are a JSON object with all that the schema requires, of the types that it names at the top."""
    try:
        given = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return False
    if not isinstance(given, dict):
        return False
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(required, list) and any(name not in given for name in required):
        return False
    if not isinstance(properties, dict):
        return True
    return all(_is_of(given[name], kind) for name, kind in properties.items() if name in given)


def _is_of(value: Any, schema: Any) -> bool:
    kinds = schema.get("type") if isinstance(schema, dict) else None
    known = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind in _JSON_TYPES]
    if not known:
        return True
    if isinstance(value, bool):
        return "boolean" in known
    return any(isinstance(value, _JSON_TYPES[kind]) or (kind == "integer" and _is_whole(value)) for kind in known)


def _is_whole(value: Any) -> bool:
    """JSON Schema takes 1.0 for an integer."""
    return isinstance(value, float) and value.is_integer()
