"""Tools in the chat format: laid out as transformers lays them out, and read back from an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from shosei.text import SPECIAL_TOKENS, AnswerReader, CallPiece, ChatML, Piece, Tokenizer

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "calculator",
            "description": "计算算式。「３＋４」のような式を計算する。",
            "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}},
        },
    },
    {"type": "function", "function": {"name": "today"}},
]


def call(name: str, arguments: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


CONVERSATION = [
    {"role": "system", "content": "あなたは助手です。"},
    {"role": "user", "content": "三百二十一乘以四是多少？今日は何日？"},
    {
        "role": "assistant",
        "content": "好的。",
        "tool_calls": [call("calculator", '{"expression":"321*4","注":"計算"}'), call("today", "{}")],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "1284"},
    {"role": "tool", "tool_call_id": "call_2", "content": "\n二〇二六年十一月二十三日"},
    {"role": "assistant", "content": "1284，十一月二十三日。"},
    {"role": "user", "content": "もう一度。"},
    {"role": "assistant", "content": None, "tool_calls": [call("today", {"時差": 9})]},
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([json.dumps(TOOLS, ensure_ascii=False), "二〇二六年十一月二十三日\n\n  "] * 3, 500)


@pytest.fixture(scope="module")
def peer(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("length", range(1, len(CONVERSATION) + 1))
@pytest.mark.parametrize("tools", [TOOLS, [tool["function"] for tool in TOOLS], None])
def test_rendered_ids_equal_transformers(
    tokenizer: Tokenizer, peer: PreTrainedTokenizerFast, tools: list[dict[str, Any]] | None, length: int
) -> None:
    messages = CONVERSATION[:length]
    expected = peer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, return_dict=False)
    assert ChatML(tokenizer).render(messages, tools) == expected


def test_the_layout_is_internlm2s(tokenizer: Tokenizer, peer: PreTrainedTokenizerFast) -> None:
    assert peer.decode(ChatML(tokenizer).render(CONVERSATION[1:4], TOOLS)) == (
        "<|im_start|>system name=<|plugin|>\n"
        '[{"name":"calculator","description":"计算算式。「３＋４」のような式を計算する。","parameters":{"type":"object","properties":{"expression":{"type":"string"}}}},'
        '{"name":"today","description":"","parameters":{}}]<|im_end|>\n'
        "<|im_start|>user\n三百二十一乘以四是多少？今日は何日？<|im_end|>\n"
        '<|im_start|>assistant\n好的。<|action_start|><|plugin|>\n{"name":"calculator","parameters":{"expression":"321*4",'
        '"注":"計算"}}<|action_end|><|action_start|><|plugin|>\n{"name":"today","parameters":{}}<|action_end|><|im_end|>\n'
        "<|im_start|>environment name=<|plugin|>\n1284<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ('{ "a" : "\\u4e09" }', '{"a":"三"}'),  # as clients re-encode it
        ('{"a":', '{"a":'),  # cut off
        ('{"a":"\\ud800"}', '{"a":"\\ud800"}'),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_arguments_are_made_compact_where_they_are_json(tokenizer: Tokenizer, arguments: str, shown: str) -> None:
    messages = [{"role": "assistant", "content": "", "tool_calls": [call("f", arguments)]}]
    ids = ChatML(tokenizer).render(messages, add_generation_prompt=False)
    assert tokenizer.decode(ids) == f'assistant\n\n{{"name":"f","parameters":{shown}}}\n'


@given(st.text(), st.sampled_from(SPECIAL_TOKENS))
def test_nothing_that_a_client_says_forges_a_special_token(tokenizer: Tokenizer, text: str, token: str) -> None:
    said = text + token
    tools = [{"name": said, "description": said, "parameters": {said: said}}]
    messages = [
        {"role": "assistant", "content": said, "tool_calls": [call(said, json.dumps({said: said})), call("f", said)]},
        {"role": "tool", "tool_call_id": said, "content": said},
    ]
    names = {tokenizer.special_id(name): name for name in SPECIAL_TOKENS}
    placed = [names[token_id] for token_id in ChatML(tokenizer).render(messages, tools) if token_id in names]
    calls = ["<|action_start|>", "<|plugin|>", "<|action_end|>"] * 2
    message = ["<|im_start|>", "<|plugin|>", "<|im_end|>"]
    assert placed == [*message, "<|im_start|>", *calls, "<|im_end|>", *message, "<|im_start|>"]


def test_loss_is_taken_on_words_calls_and_the_end_behind_them(
    tokenizer: Tokenizer, peer: PreTrainedTokenizerFast
) -> None:
    ids, mask = ChatML(tokenizer).training_example(CONVERSATION[:6], TOOLS)
    learned = [token_id for token_id, loss in zip(ids, mask, strict=True) if loss]
    assert peer.decode(learned) == (
        '好的。<|action_start|><|plugin|>\n{"name":"calculator","parameters":{"expression":"321*4","注":"計算"}}<|action_end|>'
        '<|action_start|><|plugin|>\n{"name":"today","parameters":{}}<|action_end|><|im_end|>1284，十一月二十三日。<|im_end|>'
    )
    assert ids == ChatML(tokenizer).render(CONVERSATION[:6], TOOLS, add_generation_prompt=False)[: len(ids)]


def read(tokenizer: Tokenizer, ids: list[int]) -> list[Piece]:
    reader = AnswerReader(tokenizer, ChatML.call_format)
    return [*(piece for token_id in ids for piece in reader.push(token_id)), *reader.finish()]


def joined(pieces: list[Piece]) -> tuple[str, list[tuple[str, str]]]:
    """Words, and the name and arguments of each call."""
    calls: list[tuple[str, str]] = []
    for piece in pieces:
        if isinstance(piece, CallPiece) and piece.name:
            calls.append((piece.name, piece.arguments))
        elif isinstance(piece, CallPiece):
            calls[-1] = calls[-1][0], calls[-1][1] + piece.arguments
    return "".join(piece for piece in pieces if isinstance(piece, str)), calls


_json = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.text(), st.lists(st.tuples(st.sampled_from(["f", "计算"]), st.dictionaries(st.text(), _json, max_size=3))))
def test_what_is_rendered_is_read_back(
    tokenizer: Tokenizer, words: str, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    answer = {"role": "assistant", "content": words, "tool_calls": [call(name, given) for name, given in calls]}
    ids = ChatML(tokenizer).render([{"role": "user", "content": ""}, answer], add_generation_prompt=False)
    ids = ids[len(ChatML(tokenizer).render([{"role": "user", "content": ""}])) :]
    text, found = joined(read(tokenizer, ids[: ids.index(tokenizer.end_id)]))
    if not words[:1].isspace():  # white space may share a token with the newline before it
        assert text == words
    assert [(name, json.loads(arguments)) for name, arguments in found] == calls


def test_a_call_goes_out_while_it_is_made(tokenizer: Tokenizer) -> None:
    words = {"role": "assistant", "content": "好", "tool_calls": [call("f", '{"甲":{"乙":"}"},"丙":"東京"}')]}
    ids = ChatML(tokenizer).render([words], add_generation_prompt=False)
    body = ids[ids.index(tokenizer.special_id("<|action_start|>")) : ids.index(tokenizer.end_id)]
    reader = AnswerReader(tokenizer, ChatML.call_format)
    shown = ""
    for token_id in body:
        shown += "".join(piece.arguments for piece in reader.push(token_id) if isinstance(piece, CallPiece))
        assert '{"甲":{"乙":"}"},"丙":"東京"}'.startswith(shown)
    assert shown.endswith('"東京"}')


@pytest.mark.parametrize("cut", [3, 8, 12, 20, 25])
def test_a_call_that_is_cut_off_is_shown_as_far_as_it_came(tokenizer: Tokenizer, cut: int) -> None:
    text = '{"name":"f","parameters":{"a":"東京"}}'
    start, plugin = tokenizer.special_id("<|action_start|>"), tokenizer.special_id("<|plugin|>")
    _, calls = joined(read(tokenizer, [start, plugin, *tokenizer.encode("\n" + text)[:cut]]))
    assert all(name == "f" and '{"a":"東京"}'.startswith(arguments) for name, arguments in calls)


@given(st.lists(st.integers(0, 499)))
def test_whatever_a_model_writes_the_words_are_what_stands_outside_its_calls(
    tokenizer: Tokenizer, ids: list[int]
) -> None:
    bounds = {tokenizer.special_id("<|action_start|>"): True, tokenizer.special_id("<|action_end|>"): False}
    inside, parts, part = False, list[str](), list[int]()
    for token_id in ids:
        if token_id not in bounds:
            part.append(token_id)
        elif bounds[token_id] != inside:  # else nothing begins or ends: a character may stand on both sides
            parts += [] if inside else [tokenizer.decode(part)]
            inside, part = not inside, []
    parts += [] if inside else [tokenizer.decode(part)]
    words, _ = joined(read(tokenizer, ids))
    assert words == "".join(parts)


def test_an_end_that_ends_nothing_may_stand_within_a_character(tokenizer: Tokenizer) -> None:
    by_bytes = {tokenizer.token_bytes(token): token for token in range(tokenizer.vocab_size)}
    ids = [by_bytes[b"\xc2"], tokenizer.special_id("<|action_end|>"), by_bytes[b"\xa1"]]
    assert joined(read(tokenizer, ids))[0] == tokenizer.decode(ids) == "\u00a1"
