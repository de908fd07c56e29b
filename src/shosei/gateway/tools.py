"""Tool calls in answers, checked against the tools that the request offered, and tool results in requests."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import msgspec

from shosei.log import ToolCall, ToolResult
from shosei.wire.reply import UNREADABLE
from shosei.wire.thoughts import text_of

# What a check may cost, since schemas are the client's and arguments the model's, and everybody waits meanwhile. One
# subschema takes some 80 ns for each character of the arguments at worst (uniqueItems), a pattern up to 60,000.
_MOST_SCHEMA_BYTES = 1 << 18
_MOST_SUBSCHEMAS = 20_000
_SUBSCHEMAS_A_PATTERN = 500  # what it counts as
_MOST_STEPS = 25_000_000  # subschemas times characters of arguments; 3 s at worst
# Matching takes time linear in the text: no looking around, no back references. Bytes of a compiled pattern.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1 << 18)

_log = logging.getLogger(__name__)


class _Function(msgspec.Struct):
    name: str
    parameters: msgspec.Raw = msgspec.Raw(b"null")


class _Tool(msgspec.Struct):
    """A tool as a chat has it, or flat, as the Responses API does."""

    function: _Function | None = None
    type: str = ""
    name: str = ""
    parameters: msgspec.Raw = msgspec.Raw(b"null")


class _Said(msgspec.Struct):
    """A message of a chat, or an item of the Responses API's input."""

    role: str = ""
    tool_call_id: str | None = None
    content: Any = None
    type: str = ""
    call_id: str | None = None
    output: Any = None


_tools = msgspec.json.Decoder(list[_Tool]).decode
_conversation = msgspec.json.Decoder(list[_Said]).decode
_BY_MODEL = ("function_call", "reasoning")  # types of items
_OUTPUT = "function_call_output"


def schemas(tools: bytes) -> dict[str, bytes]:
    """The JSON schemas of the parameters of each function that a request offers, by name."""
    try:
        offered = [function for tool in _tools(tools) if (function := _function(tool))]
    except UNREADABLE:  # the upstream will say so
        return {}
    return {function.name: bytes(function.parameters) for function in offered}


def _function(tool: _Tool) -> _Function | None:
    flat = tool.type == "function" and tool.name
    return _Function(tool.name, tool.parameters) if flat else tool.function


def checked(id: str, name: str, arguments: str, offered: Mapping[str, bytes] | None) -> ToolCall:
    """The call, with what is wrong with it; nothing, where nobody here knows what was offered."""
    if offered is None:
        return ToolCall(id, name)
    if name not in offered:
        return ToolCall(id, name, "unknown tool")
    return ToolCall(id, name, "" if _fit(arguments, offered[name]) else "invalid arguments")


def results(conversation: bytes) -> list[ToolResult]:
    """What tools gave back since the model spoke last. A result that begins with "Error" is one."""
    if b'"tool"' not in conversation and b'"function_call_output"' not in conversation:
        return []
    try:
        said = _conversation(conversation)
    except UNREADABLE:  # the upstream will say so; or it is a text
        return []
    results = []
    for each in reversed(said):
        if each.role == "assistant" or each.type in _BY_MODEL:
            break
        if each.role == "tool":
            results.append(ToolResult(each.tool_call_id or "", text_of(each.content).startswith("Error")))
        elif each.type == _OUTPUT:
            results.append(ToolResult(each.call_id or "", text_of(each.output).startswith("Error")))
    return results[::-1]


def _fit(arguments: str, schema: bytes) -> bool:
    """Whether these are a JSON object that the schema takes; any object, where it is not a schema to check with."""
    try:
        given = msgspec.json.decode(arguments)
    except (*UNREADABLE, RecursionError):
        return False
    if not isinstance(given, dict):
        return False
    validator, subschemas = _compiled(schema) if len(schema) <= _MOST_SCHEMA_BYTES else (None, 0)
    if validator is None or subschemas * len(arguments) > _MOST_STEPS:
        return True
    try:
        return validator.is_valid(given)
    except ValueError:  # nested too deep, or text that is not Unicode
        return False


@functools.lru_cache(maxsize=256)
def _compiled(text: bytes) -> tuple[jsonschema_rs.Validator | None, int]:
    """A schema's validator and the number of its subschemas; no validator, and a warning, where there can be none."""
    try:
        schema = msgspec.json.decode(text)
        if schema is None:  # the function takes nothing, or anything
            return None, 0
        size = _size(schema)
        return jsonschema_rs.validator_for(schema, offline=True, pattern_options=_PATTERNS), size
    except (*UNREADABLE, ValueError, LookupError, TypeError, RecursionError, jsonschema_rs.ReferencingError) as error:
        reason = str(error).partition("\n")[0]
        _log.warning("arguments of a tool are not checked, as its schema cannot be used: %s", reason)
        return None, 0


def _size(schema: Any) -> int:
    """How many objects and arrays a schema has, with what it refers to written out wherever it does.

    What refers to itself is written out once, and a pattern counts as many. A few lines can refer to each other so that
    this doubles with each. Raises ValueError for too many and for references that are not pointers into the schema;
    LookupError, TypeError or ValueError for those that lead nowhere.
    """
    size, left = 0, [(schema, frozenset[str]())]
    while left:
        node, within = left.pop()
        size += _SUBSCHEMAS_A_PATTERN if "pattern" in node or "patternProperties" in node else 1
        if size > _MOST_SUBSCHEMAS:
            raise ValueError(f"it has more than {_MOST_SUBSCHEMAS} subschemas")
        if isinstance(node, dict):
            if any(isinstance(node.get(name), str) for name in ("$dynamicRef", "$recursiveRef")):
                raise ValueError("it has dynamic references")
            if node is not schema and isinstance(node.get("$id"), str):
                raise ValueError("it has other schemas within")
            reference = node.get("$ref")
            if isinstance(reference, str) and reference not in within:
                left.append((_at(schema, reference), within | {reference}))
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        left += [(child, within) for child in children if isinstance(child, dict | list)]
    return size


def _at(schema: Any, reference: str) -> Any:
    """What a pointer such as ``#/$defs/date`` refers to."""
    base, _, pointer = reference.partition("#")
    if base or (pointer and not pointer.startswith("/")):
        raise ValueError(f"it refers to {reference}, which is not within it")
    for name in unquote(pointer).split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        schema = schema[int(name)] if isinstance(schema, list) else schema[name]
    return schema
