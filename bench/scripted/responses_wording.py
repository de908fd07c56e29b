"""The Responses API: what a request says, and the answer whole or in events."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from scripted.chat_wording import flat

Json = dict[str, Any]


def items(body: Json) -> list[Json]:
    given = body.get("input") or []
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def texts(body: Json) -> tuple[str, str]:
    """The system's text, and all text."""
    system = [body.get("instructions"), *(item for item in items(body) if item.get("role") in ("system", "developer"))]
    return flat(system), flat([body.get("instructions"), *items(body)])


def tools(body: Json) -> dict[str, Json]:
    """Schemas of the parameters of the functions that may be called."""
    if body.get("tool_choice") == "none":
        return {}
    return {tool["name"]: tool.get("parameters") or {} for tool in body.get("tools") or [] if "name" in tool}


def wants_json(body: Json) -> Json | None:
    """The schema that the answer must keep."""
    schema: Json | None = ((body.get("text") or {}).get("format") or {}).get("schema")
    return schema


def answer(body: Json, text: str, calls: list[Any], tokens_in: int, tokens_out: int) -> Json:
    output: list[Json] = [
        {
            "type": "function_call",
            "id": f"fc_{uuid.uuid4().hex}",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "status": "completed",
        }
        for call in calls
    ]
    if text:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        head = {"type": "message", "id": f"msg_{uuid.uuid4().hex}", "role": "assistant", "status": "completed"}
        output.append(head | {"content": [part]})
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": tokens_in,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens_out,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens_in + tokens_out,
        },
    }


def events(body: Json, answer: Json) -> Iterator[str]:
    for number, event in enumerate(unnumbered(answer)):
        data = json.dumps(event | {"sequence_number": number})
        yield f"event: {event['type']}\ndata: {data}\n\n"


def unnumbered(answer: Json) -> Iterator[Json]:
    yield {"type": "response.created", "response": answer | {"status": "in_progress", "output": [], "usage": None}}
    for place, item in enumerate(answer["output"]):
        where = {"output_index": place, "item_id": item["id"]}
        emptied = {"content": []} if item["type"] == "message" else {"arguments": ""}
        started = item | {"status": "in_progress"} | emptied
        yield {"type": "response.output_item.added", "output_index": place, "item": started}
        yield from of_message(item, where) if item["type"] == "message" else of_call(item, where)
        yield {"type": "response.output_item.done", "output_index": place, "item": item}
    yield {"type": "response.completed", "response": answer}


def of_call(item: Json, where: Json) -> Iterator[Json]:
    yield where | {"type": "response.function_call_arguments.delta", "delta": item["arguments"]}
    done = {"type": "response.function_call_arguments.done", "name": item["name"], "arguments": item["arguments"]}
    yield where | done


def of_message(item: Json, where: Json) -> Iterator[Json]:
    [part] = item["content"]
    at = where | {"content_index": 0}
    yield at | {"type": "response.content_part.added", "part": part | {"text": ""}}
    for word in part["text"].split():
        yield at | {"type": "response.output_text.delta", "delta": f"{word} ", "logprobs": []}
    yield at | {"type": "response.output_text.done", "text": part["text"], "logprobs": []}
    yield at | {"type": "response.content_part.done", "part": part}
