"""The front over a scripted engine whose answers hold tool calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from serve_front import ASK, TOKENIZER, Front, player, tool


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    return player(tmp_path)


CALLING = (
    '好的<|action_start|><|plugin|>\n{"name":"f","parameters":{"都":"{東}}"}}<|action_end|>'
    '<|action_start|><|plugin|>\n{"name":"g","parameters":{}}<|action_end|>'
)
CALLED = [("f", '{"都":"{東}}"}'), ("g", "{}")]


def test_words_and_calls_of_an_answer_go_out_apart(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        # The stop is in no word; in a call it does not count.
        body = {**ASK, "tools": [tool("f"), tool("g")], "stop": "東", "max_tokens": 100}
        _, whole = await front.post(body)
        choice = whole["choices"][0]
        calls = [call["function"] for call in choice["message"]["tool_calls"]]
        assert [(call["name"], call["arguments"]) for call in calls] == CALLED
        assert (choice["message"]["content"], choice["finish_reason"]) == ("好的", "tool_calls")
        grammar = front.engine.submitted[0].grammar
        assert grammar
        assert grammar.trigger == TOKENIZER.special_id("<|action_start|>")
        deltas = [chunk["choices"][0]["delta"] for chunk in (await front.stream(body))[:-1]]
        assert "".join(delta.get("content", "") for delta in deltas) == "好的"
        functions = [(call["index"], call["function"]) for delta in deltas for call in delta.get("tool_calls", [])]
        streamed = {index: "" for index, _ in functions}
        for index, function in functions:
            streamed[index] += function["arguments"]
        assert [*streamed.values()] == [arguments for _, arguments in CALLED]

    play(scene, text=CALLING)


def test_an_answer_to_a_request_without_tools_has_no_calls(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        for change in ({}, {"tools": [tool("f")], "tool_choice": "none"}):
            _, whole = await front.post({**ASK, **change, "max_tokens": 100})
            assert "tool_calls" not in whole["choices"][0]["message"]
            assert whole["choices"][0]["finish_reason"] == "stop"
        assert not any(submitted.grammar for submitted in front.engine.submitted)

    play(scene, text=CALLING)


def test_without_llguidance_what_needs_it_is_refused(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)

    async def scene(front: Front) -> None:
        for change in ({"tools": [tool("f")]}, {"response_format": {"type": "json_object"}}):
            status, body = await front.post({**ASK, **change})
            assert (status, ".[structured]" in body["error"]["message"]) == (400, True)
        assert (await front.post({**ASK, "tools": [tool("f")], "tool_choice": "none"}))[0] == 200

    play(scene, text="好")
