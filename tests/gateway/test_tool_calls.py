"""Tool calls and their results, as they pass through the gateway with the official client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway_upstream import (
    DONE,
    OK,
    QUESTION,
    STREAM,
    Asked,
    chunk,
    client,
    completion,
    page,
    through,
    well,
)
from shosei.gateway import Gateway
from shosei.gateway.tool_results import RULE
from shosei.log import Request, ToolCall, ToolResult

WEEKDAY = {
    "type": "function",
    "function": {
        "name": "weekday",
        "parameters": {
            "type": "object",
            "properties": {"date": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["date"],
        },
    },
}


def tool_call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call-{name}", "type": "function", "function": {"name": name, "arguments": arguments}}


CALLS = {
    '{"date": "2026-11-23", "days": 3.0}': "",
    '{"days": 3}': "invalid arguments",
    '{"date": 3}': "invalid arguments",
    '{"date": "x", "days": true}': "invalid arguments",
    '["x"]': "invalid arguments",
    '{"date": ': "invalid arguments",
}


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_are_checked_against_the_tools_that_were_offered(tmp_path: Path, stream: bool) -> None:
    calls = [*(tool_call("weekday", arguments) for arguments in CALLS), tool_call("wether", "{}")]

    async def answer(asked: Asked) -> None:
        if not stream:
            await asked.say(OK + page(completion({"role": "assistant", "content": None, "tool_calls": calls})))
            return
        parts = []
        for index, call in enumerate(calls):
            function = call["function"]
            begun = call | {"index": index, "function": {"name": function["name"], "arguments": ""}}
            parts.append(chunk({"tool_calls": [begun]}))
            for letter in function["arguments"]:
                parts.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": letter}}]}))
        await asked.say(STREAM, *parts, chunk({}, "tool_calls"), DONE)

    async def talk(gateway: Gateway) -> None:
        answered = await client(gateway).chat.completions.create(**QUESTION, tools=[WEEKDAY], stream=stream)
        if stream:
            _ = [part async for part in answered]
        else:
            assert len(answered.choices[0].message.tool_calls) == len(calls)

    log, _ = through(tmp_path, answer, talk)
    (event,) = log.of(Request)
    expected = [ToolCall("call-weekday", "weekday", error) for error in CALLS.values()]
    assert event.tool_calls == [*expected, ToolCall("call-wether", "wether", "unknown tool")]
    assert event.error == "invalid tool call"
    assert (event.first_token_ns is not None) is stream


def test_tool_results_are_those_since_the_assistant_spoke(tmp_path: Path) -> None:
    def result(id: str, content: Any) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": id, "content": content}

    asked = {"role": "assistant", "content": None, "tool_calls": [tool_call("weekday", "{}")]}
    messages = [
        *QUESTION["messages"],
        asked,
        result("old", "Error: before"),
        asked,
        result("a", "月曜日"),
        result("b", "Error: no such date"),
        result("c", [{"type": "text", "text": "Error: none"}]),
    ]

    async def talk(gateway: Gateway) -> None:
        await client(gateway).chat.completions.create(model="m", messages=messages)

    log, _ = through(tmp_path, well, talk)
    (event,) = log.of(Request)
    assert event.tool_results == [
        ToolResult("a", rule=RULE),
        ToolResult("b", True, "prefix", RULE),
        ToolResult("c", True, "prefix", RULE),
    ]
    assert event.model == "m"
