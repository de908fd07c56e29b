"""The chat format: InternLM2's ChatML, ``<|im_start|>role``, newline, content, ``<|im_end|>``, newline.

Tools stand in a message ``system name=<|plugin|>`` before all others, as a JSON list. A call of one follows the
assistant's words, ``<|action_start|><|plugin|>``, newline, ``{"name":…,"parameters":{…}}``, ``<|action_end|>``, and its
result is a message ``environment name=<|plugin|>``. All this JSON is compact and keeps its characters unescaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shosei.errors import InputError
from shosei.text.call_format import OURS, parsed
from shosei.text.tokenizer import Tokenizer

ROLES = ("system", "user", "assistant", "environment", "tool")

# As OpenAI's API has them. ``role`` and ``content``; an assistant's may hold ``tool_calls``, and ``tool`` is a result.
Message = Mapping[str, Any]
# ``{"type": "function", "function": {"name", "description", "parameters"}}``, or what stands under ``function`` alone.
Tool = Mapping[str, Any]


def render(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    tools: Sequence[Tool] | None = None,
    add_generation_prompt: bool = True,
) -> list[int]:
    """Ids of a conversation, as ``chat_template.jinja`` lays it out.

    Special tokens are placed as ids and content is encoded as plain text, so that no content can forge one.
    Arguments of calls are made compact first, which a template cannot do. Raises InputError for a role that the
    format does not have.
    """
    if tokenizer.chat:
        return tokenizer.chat.template_of(messages, tools).render(tokenizer, messages, tools, add_generation_prompt)
    ids = _render_tools(tokenizer, tools) if tools else []
    ids += [token_id for message in messages for token_id in _render_message(tokenizer, message)]
    if add_generation_prompt:
        ids += _answer_header(tokenizer)
    return ids


def training_example(
    tokenizer: Tokenizer, messages: Sequence[Message], tools: Sequence[Tool] | None = None
) -> tuple[list[int], list[bool]]:
    """Ids of a conversation up to the end of its last answer, and a mask of equal length.

    The mask is true where loss is taken: on the assistant's words and calls and on the ``<|im_end|>`` behind them.
    """
    if tokenizer.chat:
        return tokenizer.chat.template_of(messages, tools).training_example(tokenizer, messages, tools)
    ids = _render_tools(tokenizer, tools) if tools else []
    mask = [False] * len(ids)
    header = len(_answer_header(tokenizer))
    learned = 0
    for message in messages:
        part = _render_message(tokenizer, message)
        end = part.index(tokenizer.end_id) + 1
        answer = message["role"] == "assistant"
        if answer:
            learned = len(ids) + end
        ids += part
        mask += [answer and header <= place < end for place in range(len(part))]
    return ids[:learned], mask[:learned]


def compact(value: Any) -> str:
    """``value`` as JSON without white space, its characters unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _answer_header(tokenizer: Tokenizer) -> list[int]:
    return [tokenizer.bos_id, *tokenizer.encode("assistant\n")]


def _render_tools(tokenizer: Tokenizer, tools: Sequence[Tool]) -> list[int]:
    functions = [tool.get("function") or tool for tool in tools]
    described = [
        {
            "name": function["name"],
            "description": function.get("description") or "",
            "parameters": function.get("parameters") or {},
        }
        for function in functions
    ]
    return _enclose(tokenizer, _plugin(tokenizer, "system name=", compact(described)))


def _render_message(tokenizer: Tokenizer, message: Message) -> list[int]:
    role, content = message["role"], message.get("content") or ""
    if role not in ROLES:
        raise InputError(f"role '{role}' is not one of {', '.join(ROLES)}", param="messages")
    if role == "tool":
        return _enclose(tokenizer, _plugin(tokenizer, "environment name=", content))
    # Role and content in one piece: a newline and white space that follows it may share a token.
    ids = tokenizer.encode(f"{role}\n{content}")
    for call in message.get("tool_calls") or []:
        ids += _render_call(tokenizer, call["function"])
    return _enclose(tokenizer, ids)


def _render_call(tokenizer: Tokenizer, function: Mapping[str, Any]) -> list[int]:
    arguments = parsed(function["arguments"])
    shown = arguments if isinstance(arguments, str) else compact(arguments)
    text = OURS.head_of(function["name"]) + shown + "}"
    start, end = tokenizer.special_id("<|action_start|>"), tokenizer.special_id("<|action_end|>")
    return [start, *_plugin(tokenizer, "", text), end]


def _plugin(tokenizer: Tokenizer, before: str, content: str) -> list[int]:
    return [*tokenizer.encode(before), tokenizer.special_id("<|plugin|>"), *tokenizer.encode(f"\n{content}")]


def _enclose(tokenizer: Tokenizer, ids: list[int]) -> list[int]:
    return [tokenizer.bos_id, *ids, tokenizer.end_id, *tokenizer.encode("\n")]
