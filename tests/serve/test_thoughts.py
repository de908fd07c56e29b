"""Thoughts of models that have them stand apart in answers and go back in as the model's template has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from foreign_chats import OPENED, PLAIN, THINKING, make_chat
from serve_front import ASK, Front, player, tool
from shosei.engine.grammar import Grammars
from shosei.serve.prompt import PreparedChat
from shosei.text import load_chat
from shosei.wire.openai import ChatRequest

THOUGHT, WORDS = "東京？  晴れ <b>。", "晴れです。\n\n</b> x"
AS_TOKENS = ("<think>", "</think>", "<tool_call>", "</tool_call>")


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    return player(tmp_path)


def apart(chunks: list[Any]) -> tuple[str, str]:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get("reasoning_content", "") for delta in deltas), "".join(
        delta.get("content", "") for delta in deltas
    )


@pytest.mark.parametrize("tokens", [AS_TOKENS, ()])
@pytest.mark.parametrize(("template", "begin"), [(THINKING, "<think>\n"), (THINKING, "\n<think>"), (OPENED, "")])
def test_thoughts_and_words_go_out_apart(
    play: Callable[..., None], tmp_path: Path, template: str, begin: str, tokens: tuple[str, ...]
) -> None:
    make_chat(tmp_path, template, tokens)

    async def scene(front: Front) -> None:
        _, whole = await front.post({**ASK, "stop": "東京"})  # which counts in words alone
        message = whole["choices"][0]["message"]
        assert (message["reasoning_content"], message["content"]) == (THOUGHT, WORDS)
        assert 0 < whole["usage"]["completion_tokens_details"]["reasoning_tokens"] < whole["usage"]["completion_tokens"]
        *chunks, _ = await front.stream(ASK)
        assert apart(chunks) == (THOUGHT, WORDS)
        assert len(chunks) > 10, "pieces go out as they come"

    play(scene, text=f"{begin}{THOUGHT}\n</think>\n\n{WORDS}")


def test_a_thought_and_a_call(play: Callable[..., None], tmp_path: Path) -> None:
    make_chat(tmp_path, THINKING, AS_TOKENS)

    async def scene(front: Front) -> None:
        _, whole = await front.post({**ASK, "tools": [tool("f")]})
        message = whole["choices"][0]["message"]
        assert message["reasoning_content"] == "call <tool_call> it"
        assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"a": "</tool_call>"}']
        event = await front.event()
        assert event.first_token_ns < event.first_answer_ns

    call = '<tool_call>\n{"name": "f", "arguments": {"a": "</tool_call>"}}\n</tool_call>'
    play(scene, text=f"<think>\ncall <tool_call> it\n</think>\n\n{call}")


@pytest.mark.parametrize(
    ("text", "thought", "words"),
    [
        ("<think>\n\n</think>\n\n晴れ", None, "晴れ"),
        ("晴れ<think>x</think>", None, "晴れ<think>x</think>"),
        (" <thin", None, " <thin"),
        ("<think>cut off </thi", "cut off </thi", ""),
    ],
)
def test_what_is_no_thought_at_the_beginning_is_words(
    play: Callable[..., None], tmp_path: Path, text: str, thought: str | None, words: str
) -> None:
    make_chat(tmp_path, THINKING)

    async def scene(front: Front) -> None:
        message = (await front.post(ASK))[1]["choices"][0]["message"]
        assert (message.get("reasoning_content"), message["content"]) == (thought, words)

    play(scene, text=text)


def test_a_model_without_thoughts_has_none(play: Callable[..., None], tmp_path: Path) -> None:
    make_chat(tmp_path, PLAIN)

    async def scene(front: Front) -> None:
        whole = (await front.post(ASK))[1]
        assert whole["choices"][0]["message"]["content"] == "<think>x</think>y"
        assert "completion_tokens_details" not in whole["usage"]

    play(scene, text="<think>x</think>y")


@pytest.mark.parametrize("kwargs", [{}, {"enable_thinking": False}, {"enable_thinking": True}])
def test_prompts_with_thoughts_and_switches_are_those_of_transformers(tmp_path: Path, kwargs: dict[str, Any]) -> None:
    make_chat(tmp_path, THINKING, AS_TOKENS)
    messages = [
        {"role": "user", "content": "東京の天気は？"},
        {"role": "assistant", "content": "晴れ", "reasoning_content": "\n考える\n"},
        {"role": "user", "content": "明日は？"},
    ]
    asked = ChatRequest.model_validate({"messages": messages, "chat_template_kwargs": kwargs})
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    expected = theirs.apply_chat_template(messages, add_generation_prompt=True, **kwargs)["input_ids"]
    assert PreparedChat(asked, load_chat(tmp_path)).prompts()[0].ids == expected
    assert "考える" in theirs.decode(expected)


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ({"reasoning_effort": "none"}, {"enable_thinking": False}),
        ({"reasoning_effort": "low"}, {"enable_thinking": True}),
        ({"reasoning_effort": "low", "enable_thinking": False}, {"enable_thinking": False}),
        ({"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": True}}, {"enable_thinking": True}),
    ],
)
def test_an_effort_switches_thoughts_unless_a_switch_is_given(
    play: Callable[..., None], tmp_path: Path, asked: dict[str, Any], same: dict[str, Any]
) -> None:
    make_chat(tmp_path, THINKING, AS_TOKENS)

    async def scene(front: Front) -> None:
        async with front.http.post(f"{front.url}/v1/chat/completions", json={**ASK, **asked}) as response:
            assert response.status == 200
            assert "x-shosei-ignored" not in response.headers
        await front.post({**ASK, "chat_template_kwargs": same})
        by_effort, by_switch = front.engine.submitted
        assert by_effort.prompt == by_switch.prompt

    play(scene, text="晴れ")


def test_thoughts_go_back_in_by_either_name(play: Callable[..., None], tmp_path: Path) -> None:
    make_chat(tmp_path, THINKING, AS_TOKENS)

    async def scene(front: Front) -> None:
        for thoughts in ({"reasoning_content": "考える"}, {"reasoning": "考える"}, {}):
            await front.post({"messages": [*ASK["messages"], {"role": "assistant", "content": "晴れ", **thoughts}]})
        ours, of_vllm, without = (submitted.prompt for submitted in front.engine.submitted)
        assert ours == of_vllm != without

    play(scene, text="晴れ")


@pytest.mark.parametrize("content", ["今日は", "  今日は\n", "<think>\n考え", "|", "end", "<"])
def test_a_continued_message_is_cut_as_transformers_cuts_it(tmp_path: Path, content: str) -> None:
    make_chat(tmp_path, THINKING)
    messages = [{"role": "user", "content": "今日は？"}, {"role": "assistant", "content": content}]
    asked = ChatRequest.model_validate({"messages": messages, "continue_final_message": True})
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    expected = theirs.apply_chat_template(messages, continue_final_message=True)["input_ids"]
    (prompt,) = PreparedChat(asked, load_chat(tmp_path)).prompts()
    assert prompt.ids == expected
    assert prompt.within_thought == ("<think>" in content)


@pytest.mark.parametrize("tokens", [AS_TOKENS, ()])
def test_an_answer_of_a_form_begins_behind_the_thought(tmp_path: Path, tokens: tuple[str, ...]) -> None:
    """Where the prompt has begun it: whatever is thought is free, and what follows is held to the form."""
    chat = load_chat(make_chat(tmp_path, OPENED, tokens))
    asked = ChatRequest.model_validate({**ASK, "guided_choice": ["晴れ", "雨"]})
    grammar = PreparedChat(asked, chat).prompts()[0].grammar
    assert grammar

    def allowed(text: str) -> bool:
        constraint = Grammars(tmp_path, chat.tokenizer.vocab_size).constraint(grammar)
        for token in [*chat.tokenizer.encode(text, allow_special=True), chat.tokenizer.end_id]:
            row = constraint.allowed()
            if row is not None and not row[token]:
                return False
            constraint.take(token)
        return True

    assert allowed("何？ {雪}\n</think>\n\n晴れ")
    assert allowed("</think>雨")
    assert not allowed("何？</think>雪")
    assert not allowed("何？</think>")
