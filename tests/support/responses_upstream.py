"""A server of the Responses API with known answers, in one piece and as events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gateway_upstream import OK, STREAM, Asked, framed, page

Json = dict[str, Any]

USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 18,
}
END = b"0\r\n\r\n"
LOOKUP: Json = {
    "type": "function",
    "name": "lookup",
    "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def message(text: str) -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def refused(text: str) -> Json:
    return message("") | {"content": [{"type": "refusal", "refusal": text}]}


def thoughts(text: str) -> Json:
    return {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}]}


def function_call(name: str, arguments: str, number: int = 1) -> Json:
    item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "status": "completed"}
    return item | {"name": name, "arguments": arguments}


def response(output: Sequence[Json], **more: Any) -> Json:
    head = {"id": "resp_up1", "object": "response", "created_at": 1, "status": "completed", "model": "m"}
    rest = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None}
    return head | rest | {"instructions": None, "metadata": {}, "output": list(output), "usage": USAGE} | more


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False).encode()
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


def events(answer: Json) -> list[bytes]:
    """The events of a stream that ends with ``answer``; a text, or arguments, in pieces of three characters."""
    begun = answer | {"status": "in_progress", "output": [], "usage": None, "error": None, "incomplete_details": None}
    stream = [("response.created", {"response": begun}), ("response.in_progress", {"response": begun})]
    for place, item in enumerate(answer["output"]):
        stream += _of_item(item, {"output_index": place, "item_id": item["id"]})
    stream.append((f"response.{answer['status']}", {"response": answer}))
    return [event(kind, sequence_number=number, **fields) for number, (kind, fields) in enumerate(stream)]


def _of_item(item: Json, place: Json) -> list[tuple[str, Json]]:
    index = {"output_index": place["output_index"]}
    if item["type"] == "function_call":
        begun, kind, text, within = item | {"arguments": ""}, "function_call_arguments", item["arguments"], {}
        around: list[list[tuple[str, Json]]] = [[], [("done", {"arguments": text, "name": item["name"]})]]
    elif item["type"] == "reasoning":
        text, part = item["summary"][0]["text"], {"type": "summary_text", "text": ""}
        begun, kind, within = item | {"summary": []}, "reasoning_summary_text", {"summary_index": 0}
        added = ("response.reasoning_summary_part.added", place | within | {"part": part})
        return _framed(item, begun, index, [added, *_deltas(kind, text, place | within)])
    else:
        part = item["content"][0]
        kind, field = ("output_text", "text") if "text" in part else ("refusal", "refusal")
        begun, text, within = item | {"content": [], "status": "in_progress"}, part[field], {"content_index": 0}
        more = {"logprobs": []} if field == "text" else {}
        around = [[("added", {"part": part | {field: ""}})], [("done", {field: text} | more)]]
    before = [(f"response.content_part.{name}", place | within | fields) for name, fields in around[0]]
    after = [(f"response.{kind}.{name}", place | within | fields) for name, fields in around[1]]
    return _framed(item, begun, index, [*before, *_deltas(kind, text, place | within), *after])


def _deltas(kind: str, text: str, place: Json) -> list[tuple[str, Json]]:
    more = {"logprobs": []} if kind == "output_text" else {}
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    return [(f"response.{kind}.delta", place | {"delta": piece} | more) for piece in pieces]


def _framed(item: Json, begun: Json, index: Json, within: list[tuple[str, Json]]) -> list[tuple[str, Json]]:
    added = ("response.output_item.added", index | {"item": begun})
    return [added, *within, ("response.output_item.done", index | {"item": item})]


async def say(asked: Asked, answer: Json) -> None:
    """The answer as it was asked for: as events, or in one piece."""
    if asked.body.get("stream"):
        await asked.say(STREAM, *map(framed, events(answer)), END)
    else:
        await asked.say(OK + page(answer))
