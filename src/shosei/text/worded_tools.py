"""Tools within plain messages, for a chat template that knows none: Hermes' layout, in the words of Qwen's template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from shosei.text.call_format import HERMES, as_object
from shosei.wire.message import text_of

_BEFORE = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
"""
_BEHIND = """
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


def without_tools(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """``messages`` with ``tools`` in the system's words, calls in the assistant's, and results as the user's.

    Results that follow each other become one message. Raises InputError for a call whose arguments are no object.
    """
    plain: list[dict[str, Any]] = []
    for role, turns in groupby(messages, key=lambda message: message["role"]):
        if role == "tool":
            plain.append({"role": "user", "content": "\n".join(map(_result, turns))})
        else:
            plain += [_with_calls(turn) for turn in turns]
    return _with_tools(plain, tools) if tools else plain


def _result(message: Mapping[str, Any]) -> str:
    return f"<tool_response>\n{text_of(message.get('content'))}\n</tool_response>"


def _with_calls(message: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in message.items() if key != "tool_calls"}
    functions = [call["function"] for call in message.get("tool_calls") or []]
    calls = [HERMES.write(function["name"], as_object(function["arguments"])) for function in functions]
    words = text_of(message.get("content"))
    return plain | {"content": "\n".join([*([words] if words else []), *calls])}


def _with_tools(messages: Sequence[dict[str, Any]], tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    described = _BEFORE + "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools) + _BEHIND
    if messages and messages[0]["role"] == "system":
        first, *rest = messages
        return [first | {"content": f"{first['content']}\n\n{described}"}, *rest]
    return [{"role": "system", "content": described}, *messages]
