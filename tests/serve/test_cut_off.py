"""Answers that end at the limit of tokens end in whole characters, and in no half of a mark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foreign_chats import HERMES, THINKING, make_chat
from serve_front import ASK, Front, player, tool
from shosei.text import Tokenizer

TEXT = "你好，東京は晴れ😀👩‍👩‍👧です。"
ARGUMENTS = '{"文": "東京😀は晴れ"}'
CALL = f'<tool_call>\n{{"name": "f", "arguments": {ARGUMENTS}}}\n</tool_call>'


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    return player(tmp_path)


def read(choices: list[Any]) -> tuple[str, str, list[str]]:
    """Thought, words and the arguments of the calls, of a whole answer or of chunks."""
    thought = words = ""
    calls: dict[int, str] = {}
    for choice in choices:
        part = choice.get("message") or choice.get("delta") or {}
        thought += part.get("reasoning_content") or ""
        words += part.get("content") or choice.get("text") or ""
        for place, call in enumerate(part.get("tool_calls") or []):
            index = call.get("index", place)
            calls[index] = calls.get(index, "") + call["function"]["arguments"]
    return thought, words, list(calls.values())


async def both(front: Front, body: dict[str, Any], path: str) -> tuple[str, str, list[str]]:
    status, whole = await front.post(body, path)
    assert status == 200
    assert whole["choices"][0]["finish_reason"] == "length"
    *chunks, _ = await front.stream(body, path)
    answer = read(whole["choices"])
    assert read([choice for chunk in chunks for choice in chunk["choices"]]) == answer
    return answer


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_words_end_in_a_whole_character(play: Callable[..., None], tmp_path: Path, path: str) -> None:
    async def scene(front: Front) -> None:
        ids = front.engine.tokenizer.encode(TEXT)
        halves = 0
        for count in range(1, len(ids) + 1):
            data = b"".join(map(front.engine.tokenizer.token_bytes, ids[:count]))
            halves += "\ufffd" in data.decode("utf-8", "replace")
            _, words, _ = await both(front, {**ASK, "prompt": "问", "max_tokens": count}, path)
            assert words == data.decode("utf-8", "ignore")
        assert halves > 3, "the text must have characters of several tokens for this test to say anything"

    play(scene, text=TEXT, after="cut")


def test_calls_end_in_a_whole_character_and_leave_no_mark(play: Callable[..., None], tmp_path: Path) -> None:
    make_chat(tmp_path, HERMES)
    text = f"{CALL}\n{CALL}"
    total = len(Tokenizer.load(tmp_path).encode(text, allow_special=True))

    async def scene(front: Front) -> None:
        body = {**ASK, "tools": [tool("f")], "tool_choice": "required"}
        for count in range(1, total + 1, 2):
            _, words, calls = await both(front, {**body, "max_tokens": count}, "/v1/chat/completions")
            assert words == ""
            assert all(ARGUMENTS.startswith(arguments) for arguments in calls)
        assert calls[0] == ARGUMENTS

    play(scene, text=text, after="cut")


def test_a_thought_ends_in_no_half_of_its_mark(play: Callable[..., None], tmp_path: Path) -> None:
    make_chat(tmp_path, THINKING)

    async def scene(front: Front) -> None:
        assert await both(front, {**ASK, "max_tokens": 100}, "/v1/chat/completions") == ("東京", "", [])

    play(scene, text="<think>\n東京\n</thi", after="cut")
