"""Tools of imported models: a model with random weights is held to its own format, and its calls are read from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai
import pytest
import torch

from foreign_chats import CHATS, XML, make_chat
from serve_process import serving
from shosei.engine.engine import Engine
from shosei.engine.grammar import Grammars
from shosei.engine.protocol import Submit, Token
from shosei.model import folder
from shosei.model.transformer import Transformer
from shosei.serve.prompt import PreparedChat
from shosei.spec import preset
from shosei.text import AnswerReader, load_chat
from shosei.wire.api_error import ApiError
from shosei.wire.openai import ChatRequest

WEATHER = {
    "type": "object",
    "properties": {
        "都市": {"enum": ["東京", "北京"]},
        "days": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
    },
    "required": ["都市", "days"],
}
ROUTE = {"type": "object", "properties": {"to": {"enum": ["計算", "日历"]}}, "required": ["to"]}
SCHEMAS = {"weather": WEATHER, "转交": ROUTE}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in SCHEMAS.items()
]
ASK: list[Any] = [{"role": "user", "content": "東京の天気は？"}]
SPEC = replace(
    preset("nano"),
    vocab_size=384,
    d_model=64,
    n_layers=2,
    intermediate_size=96,
    n_heads=2,
    n_kv_heads=1,
    head_dim=32,
    context_length=2048,
)


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(1)
    return Transformer(SPEC).eval()


def answers(model: Transformer, path: Path, request: dict[str, Any], seeds: int) -> list[tuple[str, list[Any], str]]:
    """Words, calls and finish of an answer a seed."""
    chat = load_chat(path)
    asked = ChatRequest.model_validate({"messages": ASK, "tools": TOOLS, **request})
    (prompt,) = PreparedChat(asked, chat).prompts()
    engine = Engine(model, SPEC, slots=4, grammars=Grammars(path, SPEC.vocab_size))
    readers = [AnswerReader(chat.tokenizer, chat.call_format) for _ in range(seeds)]
    made: list[tuple[str, list[Any], str]] = [("", [], "") for _ in range(seeds)]
    for seed in range(seeds):
        engine.submit(Submit(seed, prompt.ids, 200, 1.0, 1.0, seed, chat.tokenizer.end_ids, prompt.grammar))
    while engine.busy:
        for event in engine.step():
            assert isinstance(event, Token), event
            words, calls, _ = made[event.id]
            pieces = [] if event.finish == "stop" else readers[event.id].push(event.token)
            for piece in [*pieces, *(readers[event.id].finish() if event.finish else [])]:
                if isinstance(piece, str):
                    words += piece
                elif piece.name:
                    calls.append([piece.name, ""])
                else:
                    calls[-1][1] += piece.arguments
            made[event.id] = words, calls, event.finish
    return made


def check(calls: list[Any]) -> None:
    for name, arguments in calls:
        jsonschema_rs.validator_for(SCHEMAS[name]).validate(json.loads(arguments))


@pytest.mark.parametrize("name", CHATS)
def test_every_finished_call_is_one_of_the_tools_with_valid_arguments(
    name: str, model: Transformer, tmp_path: Path
) -> None:
    path = make_chat(tmp_path, **CHATS[name])
    form = load_chat(path).call_format
    assert form
    required = answers(model, path, {"tool_choice": "required"}, 8)
    finished = [calls for words, calls, finish in required if finish == "stop" and not words.strip()]
    assert len(finished) > 4
    assert any(len(calls) > 1 for calls in finished) == (form.between is not None)
    for calls in finished:
        assert calls
        check(calls)
    one = {"tool_choice": {"type": "function", "function": {"name": "转交"}}, "parallel_tool_calls": False}
    for words, calls, finish in answers(model, path, one, 4):
        assert (words, len(calls), finish, calls[0][0]) == ("", 1, "stop", "转交")
        check(calls)
    for words, calls, finish in answers(model, path, {}, 6):  # its choice
        assert finish != "stop" or words or calls
        assert not form.begin or form.begin not in words
        if finish == "stop":
            check(calls)


@pytest.mark.parametrize("name", CHATS)
def test_where_the_model_may_choose_only_right_calls_are_allowed(name: str, tmp_path: Path) -> None:
    path = make_chat(tmp_path, **CHATS[name])
    chat, grammars = load_chat(path), Grammars(path, SPEC.vocab_size)
    tokenizer, form = chat.tokenizer, chat.call_format
    asked = ChatRequest.model_validate({"messages": ASK, "tools": TOOLS})
    grammar = PreparedChat(asked, chat).prompts()[0].grammar
    assert form
    assert grammar

    def allowed(text: str) -> bool:
        constraint = grammars.constraint(grammar)
        for token in [*tokenizer.encode(text, allow_special=True), tokenizer.end_id]:
            row = constraint.allowed()
            if row is not None and not row[token]:
                return False
            constraint.take(token)
        return True

    right, words = form.write("转交", {"to": "計算"}), "天気<tool {" if form.begin else ""
    assert allowed("東京 { は晴れ。<tool")
    assert allowed("")
    assert allowed(words + right)
    assert allowed(right + "".join(form.between or ()) + right) == (form.between is not None)
    assert not allowed(words + form.write("nosuch", {"to": "x"}))
    assert not allowed(words + form.write("转交", {"to": "計"}))
    assert not allowed(words + right[:-1])


def test_a_format_that_is_not_known_is_one_clear_line(tmp_path: Path) -> None:
    chat = load_chat(make_chat(tmp_path, XML))
    request = ChatRequest.model_validate({"messages": ASK, "tools": TOOLS})
    with pytest.raises(ApiError, match="tool format of this model's chat template is not known") as error:
        PreparedChat(request, chat).prompts()
    assert (error.value.status, error.value.param) == (400, "tools")
    without = ChatRequest.model_validate({"messages": ASK, "tools": TOOLS, "tool_choice": "none"})
    PreparedChat(without, chat).prompts()


@pytest.fixture(scope="module")
def client(model: Transformer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    path = tmp_path_factory.mktemp("served")
    make_chat(path / "tokenizer", **CHATS["Hermes, tags are tokens"])
    folder.export(model, SPEC, path / "tokenizer", path / "model")
    with serving(path / "model") as (_, url):
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            yield client


@pytest.mark.parametrize("choice", ["required", "auto"])
def test_the_official_client_reads_the_calls_of_an_imported_model(client: openai.OpenAI, choice: Any) -> None:
    body: dict[str, Any] = {"model": "nano", "tools": TOOLS, "tool_choice": choice, "max_tokens": 400, "seed": 3}
    whole = client.chat.completions.create(messages=ASK, **body).choices[0]
    with client.chat.completions.stream(messages=ASK, **body) as stream:
        events = list(stream)
        streamed = stream.get_final_completion().choices[0]
    assert events
    calls = whole.message.tool_calls or []
    assert streamed.finish_reason == whole.finish_reason
    assert (streamed.message.content or "") == (whole.message.content or "")
    assert [call.function.arguments for call in streamed.message.tool_calls or []] == [
        call.function.arguments for call in calls
    ]
    if choice == "required":
        assert whole.finish_reason == "tool_calls"
        check([(call.function.name, call.function.arguments) for call in calls])
        results = [{"role": "tool", "tool_call_id": call.id, "content": "晴れ"} for call in calls]
        again = client.chat.completions.create(messages=[*ASK, whole.message, *results], **body)
        assert again.choices[0].finish_reason == "tool_calls"
