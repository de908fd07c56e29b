"""The Chat Completions API: what a request says, and the answer whole or in chunks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def flat(content: Any) -> str:
    """Every string in it."""
    if isinstance(content, dict):
        content = list(content.values())
    return " ".join(map(flat, content)) if isinstance(content, list) else content if isinstance(content, str) else ""


def texts(body: Json) -> tuple[str, str]:
    """The system's text, and all text."""
    system = [message for message in body["messages"] if message["role"] in ("system", "developer")]
    return flat(system), flat(body["messages"])


def tools(body: Json) -> dict[str, Json]:
    """Schemas of the parameters of the functions that may be called."""
    if body.get("tool_choice") == "none":
        return {}
    return {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in body.get("tools") or []}


def wants_json(body: Json) -> Json | None:
    """The schema that the answer must keep."""
    schema: Json | None = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    return schema


def answer(body: Json, text: str, calls: list[Any], tokens_in: int, tokens_out: int) -> Json:
    message: Json = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        },
    }


def events(body: Json, answer: Json) -> Iterator[str]:
    head = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    [choice] = answer["choices"]
    message = choice["message"]
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f"{word} "} for word in (message["content"] or "").split()]
    for place, call in enumerate(message.get("tool_calls", [])):
        deltas.append({"tool_calls": [call | {"index": place}]})
    chunks = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append(head | {"choices": [], "usage": answer["usage"]})
    for chunk in [*map(json.dumps, chunks), "[DONE]"]:
        yield f"data: {chunk}\n\n"
