"""Tools in other models' own chat formats: laid out as transformers does, and read back from an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from foreign_chats import CHATS, HERMES, LLAMA, PLAIN, TAGS, XML, make_chat
from foreign_samples import edit, save
from shosei.text import AnswerReader, CallPiece, ChatFormat, Piece, load_chat
from verb import Shosei

TOOLS = [{"type": "function", "function": {"name": "天気", "parameters": {"type": "object", "properties": {}}}}]
QUESTION = {"role": "user", "content": "東京の天気は？"}


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(words: str, *calls: tuple[str, str]) -> dict[str, Any]:
    return {"role": "assistant", "content": words, "tool_calls": [call(*each) for each in calls]}


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ChatFormat]:
    folder = tmp_path_factory.mktemp("chats")
    return {name: load_chat(make_chat(folder / str(number), **CHATS[name])) for number, name in enumerate(CHATS)}


def read(chat: ChatFormat, ids: list[int]) -> list[Piece]:
    reader = AnswerReader(chat.tokenizer, chat.call_format)
    return [*(piece for token in ids for piece in reader.push(token)), *reader.finish()]


def joined(pieces: list[Piece]) -> tuple[str, list[tuple[str, Any]]]:
    calls: list[list[str]] = []
    for piece in pieces:
        if isinstance(piece, CallPiece):
            calls += [[piece.name, ""]] if piece.name else []
            calls[-1][1] += piece.arguments
    words = "".join(piece for piece in pieces if isinstance(piece, str))
    return words, [(name, json.loads(arguments)) for name, arguments in calls]


@pytest.mark.parametrize("template", [HERMES, LLAMA])
def test_a_conversation_with_tools_is_laid_out_as_transformers_does(template: str, tmp_path: Path) -> None:
    folder = make_chat(tmp_path, template, TAGS)
    messages = [QUESTION, answer("", ("天気", '{"都市":"東京","日":[1,2]}')), {"role": "tool", "content": "晴れ"}]
    objects = json.loads(json.dumps(messages))
    objects[1]["tool_calls"][0]["function"]["arguments"] = {"都市": "東京", "日": [1, 2]}
    for length in (1, 3):
        expected = AutoTokenizer.from_pretrained(folder).apply_chat_template(
            objects[:length], tools=TOOLS, add_generation_prompt=True
        )
        assert load_chat(folder).render(messages[:length], TOOLS) == expected["input_ids"]


def test_internlms_layout_with_tools_is_its_documented_one(tmp_path: Path) -> None:
    folder = make_chat(tmp_path, PLAIN, internlm=True)
    system = {"role": "system", "content": "助手"}
    messages = [system, QUESTION, answer("好", ("天気", '{"x":1}')), {"role": "tool", "content": "晴れ"}]
    ids = load_chat(folder).render(messages, [{"type": "function", "function": {"name": "天気"}}])
    assert AutoTokenizer.from_pretrained(folder).decode(ids) == (
        '<s><|im_start|>system\n助手<|im_end|>\n<|im_start|>system name=<|plugin|>\n[{"name": "天気"}]<|im_end|>\n'
        "<|im_start|>user\n東京の天気は？<|im_end|>\n<|im_start|>assistant\n好<|action_start|><|plugin|>\n"
        '{"name": "天気", "parameters": {"x": 1}}<|action_end|><|im_end|>\n'
        "<|im_start|>environment name=<|plugin|>\n晴れ<|im_end|>\n<|im_start|>assistant\n"
    )
    assert AutoTokenizer.from_pretrained(folder).decode(load_chat(folder).render([QUESTION])) == (
        "<s><|role|>user\n東京の天気は？<|end|>\n<|role|>assistant\n"
    )


def test_a_template_without_tools_gets_them_in_the_words_of_messages(tmp_path: Path) -> None:
    """As a template with tools in Hermes' form lays them out, but for the words that explain them."""
    plain, hermes = (load_chat(make_chat(tmp_path / name, HERMES if name else PLAIN)) for name in ("", "h"))
    results = [{"role": "tool", "content": "晴れ"}, {"role": "tool", "content": "雨"}]
    asked = [QUESTION, answer("はい", ("天気", '{"日":[1]}'), ("天気", ""))]
    system, user, called, told, *_ = plain.text([*asked, *results], TOOLS).split("<|role|>")[1:]
    assert system.startswith("system\n# Tools")
    assert f"<tools>\n{json.dumps(TOOLS[0], ensure_ascii=False)}\n</tools>" in system
    assert hermes.text(asked, TOOLS, False).endswith(f"<|role|>{user}<|role|>{called}")
    assert told == ("user\n<tool_response>\n晴れ\n</tool_response>\n<tool_response>\n雨\n</tool_response><|end|>\n")
    own = plain.text([{"role": "system", "content": "短く"}, QUESTION], TOOLS)
    assert "<|role|>system\n短く\n\n# Tools" in own
    assert plain.text([QUESTION]) == hermes.text([QUESTION])


def test_a_call_is_learnt_where_the_template_has_no_tools(tmp_path: Path) -> None:
    chat = load_chat(make_chat(tmp_path, PLAIN))
    messages = [QUESTION, answer("", ("天気", "{}")), {"role": "tool", "content": "晴れ"}, answer("晴れです")]
    ids, mask = chat.training_example(messages, TOOLS)
    learned = [token for token, loss in zip(ids, mask, strict=True) if loss]
    assert chat.tokenizer.decode(learned) == '<tool_call>\n{"name": "天気", "arguments": {}}\n</tool_call>晴れです'
    assert learned.count(chat.tokenizer.end_id) == 2


@pytest.mark.parametrize(("template", "tokens"), [(XML, TAGS), (XML, ())])
def test_a_format_that_is_not_known_is_none(template: str, tokens: tuple[str, ...], tmp_path: Path) -> None:
    chat = load_chat(make_chat(tmp_path, template, tokens))
    assert chat.call_format is None
    text = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    assert read(chat, chat.tokenizer.encode(text, allow_special=True))


def test_a_template_of_its_own_for_tools_is_the_one_that_lays_them_out(tmp_path: Path, shosei: Shosei) -> None:
    """As Hermes' folders have it, which cannot be rendered without tools."""
    path = tmp_path / "theirs"
    save("llama", path, vocab_size=400)
    (make_chat(path, "") / "chat_template.jinja").unlink()
    with_tools = HERMES.replace("{% if tools %}", "").replace(
        "<|end|>\n' }}{% endif %}{% for", "<|end|>\n' }}{% for", 1
    )
    templates = [{"name": "default", "template": PLAIN}, {"name": "tool_use", "template": with_tools}]
    edit(path / "tokenizer_config.json", chat_template=templates)
    edit(path / "generation_config.json", eos_token_id=5)
    assert shosei("import", path, "--out", tmp_path / "run")[0] == 0
    chat = load_chat(tmp_path / "run/model")
    assert chat.call_format
    assert chat.call_format.begin == "<tool_call>"
    theirs = AutoTokenizer.from_pretrained(tmp_path / "run/model")
    for tools in (None, TOOLS):
        expected = theirs.apply_chat_template([QUESTION], tools=tools, add_generation_prompt=True)
        assert chat.render([QUESTION], tools) == expected["input_ids"]


_json = st.recursive(
    st.none() | st.integers() | st.text('ab<>/{}"\\\n 東'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("k東"), inner, max_size=3),
    max_leaves=5,
)
_arguments = st.dictionaries(st.text("k東"), _json, max_size=3)


@pytest.mark.parametrize("name", CHATS)
@given(words=st.text("東<tool_call>\n|{ 。"), arguments=_arguments, more=_arguments, several=st.booleans())
def test_what_is_laid_out_is_read_back(
    chats: dict[str, ChatFormat], name: str, words: str, arguments: Any, more: Any, several: bool
) -> None:
    chat = chats[name]
    form = chat.call_format
    assert form
    words = words.replace("<tool_call>", "") if form.begin else ""
    calls = [("f", arguments), ("計算", more)][: 2 if several and form.between is not None else 1]
    text = words + "".join(form.between or ()).join(form.write(*each) for each in calls)
    pieces = read(chat, chat.tokenizer.encode(text, allow_special=True))
    shown, found = joined(pieces)
    assert found == calls
    assert shown == words, "and what stands between two calls is none"


@pytest.mark.parametrize("name", CHATS)
def test_no_half_of_a_mark_goes_out_as_words(chats: dict[str, ChatFormat], name: str) -> None:
    chat = chats[name]
    form = chat.call_format
    assert form
    text = ("天気は<tool " if form.begin else "") + form.write("f", {"x": "</tool_cal"})
    reader, shown = AnswerReader(chat.tokenizer, chat.call_format), ""
    for token in chat.tokenizer.encode(text, allow_special=True):
        shown += "".join(piece for piece in reader.push(token) if isinstance(piece, str))
        assert "天気は<tool ".startswith(shown)
    assert reader.finish() == []


@pytest.mark.parametrize("text", ['{"city": "東京"}', "{", "答えは {", ' {"name'])
def test_an_answer_that_only_looks_like_a_bare_call_is_words(chats: dict[str, ChatFormat], text: str) -> None:
    chat = chats["Llama"]
    assert joined(read(chat, chat.tokenizer.encode(text))) == (text, [])


def said(text: str) -> dict[str, Any]:
    """A tool, a call and a result that say ``text`` wherever a client may."""
    return {
        "tools": [{"type": "function", "function": {"name": text, "description": text, "parameters": {text: text}}}],
        "messages": [
            {"role": "user", "content": text},
            answer(text, (text, json.dumps({text: text}))),
            {"role": "tool", "content": text},
        ],
    }


@pytest.mark.parametrize("name", CHATS)
@given(
    text=st.text("<s>|roleind_axp\n", max_size=12), token=st.sampled_from(["<s>", "<|role|>", "<|end|>", "<|plugin|>"])
)
def test_nothing_that_a_client_says_forges_a_special_token(
    chats: dict[str, ChatFormat], name: str, text: str, token: str
) -> None:
    chat = chats[name]
    special = {chat.tokenizer.special_id(name) for name in ("<s>", "<|role|>", "<|end|>", "<|plugin|>", "<|im_end|>")}
    harmless, forged = (
        [token for token in chat.render(**said(words)) if token in special] for words in ("x", text + token)
    )
    assert forged == harmless
