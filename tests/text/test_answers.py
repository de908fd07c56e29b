"""Answers read piece by piece: a mark inside an argument, arguments of earlier calls, thoughts cut anywhere."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreign_chats import CHATS, HERMES, make_chat
from shosei.errors import InputError
from shosei.text import AnswerReader, CallPiece, ChatFormat, ChatML, Tokenizer, load_chat
from shosei.text.thoughts import ThoughtFilter

ITEMS = HERMES.replace("call.function.arguments | tojson", "call.function.arguments.items() | list | tojson")
HERMES_CHATS = ["Hermes, tags are tokens", "Hermes, tags are text"]


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ChatFormat]:
    folder = tmp_path_factory.mktemp("chats")
    return {name: load_chat(make_chat(folder / str(number), **CHATS[name])) for number, name in enumerate(CHATS)}


def read(chat: ChatFormat, ids: list[int]) -> tuple[str, list[list[str]]]:
    reader = AnswerReader(chat.tokenizer, chat.call_format)
    words, calls = "", list[list[str]]()
    for piece in [*(piece for token in ids for piece in reader.push(token)), *reader.finish()]:
        if isinstance(piece, str):
            words += piece
        elif isinstance(piece, CallPiece):
            calls += [[piece.name, ""]] if piece.name else []
            calls[-1][1] += piece.arguments
    return words, calls


@pytest.mark.parametrize("name", HERMES_CHATS)
@pytest.mark.parametrize("marks_are_tokens", [True, False])
@pytest.mark.parametrize("quoted", ["</tool_call>", '"}}\n</tool_call>', "<tool_call>\\", "}</tool_call>{"])
def test_a_mark_inside_an_argument_stays_an_argument(
    chats: dict[str, ChatFormat], name: str, marks_are_tokens: bool, quoted: str
) -> None:
    """Also where the model writes it as the one token that the mark is."""
    chat, arguments = chats[name], {"文": quoted, "n": {"x": [quoted]}}
    form, tokenizer = chat.call_format, chat.tokenizer
    assert form
    text = form.write("f", arguments)
    head, body = form.begin, text.removeprefix(form.begin).removesuffix(form.end)
    ids = tokenizer.encode(head, allow_special=True)
    ids += tokenizer.encode(body, allow_special=marks_are_tokens)
    ids += tokenizer.encode(form.end + "後", allow_special=True)
    words, calls = read(chat, ids)
    assert [(each, json.loads(given)) for each, given in calls] == [("f", arguments)]
    assert words == "後"


@pytest.mark.parametrize("name", HERMES_CHATS)
def test_arguments_begin_with_their_brace(chats: dict[str, ChatFormat], name: str) -> None:
    chat = chats[name]
    text = '<tool_call>\n{"name": "f", "arguments":   {"a": 1} }\n</tool_call>'
    tokenizer = chat.tokenizer
    ids = [token for character in text for token in tokenizer.encode(character)] if "text" in name else []
    ids = ids or tokenizer.encode(text, allow_special=True)
    assert read(chat, ids) == ("", [["f", '{"a": 1}']])


def history(arguments: Any) -> list[dict[str, Any]]:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return [{"role": "user", "content": "?"}, {"role": "assistant", "content": "", "tool_calls": [call]}]


@pytest.mark.parametrize("template", [HERMES, ITEMS])
@pytest.mark.parametrize(
    ("arguments", "same_as"),
    [
        ("", "{}"),
        (" \n", "{}"),
        ("null", "{}"),
        (None, "{}"),
        ('{"a": "東', '{"a": "東"}'),
        ('{"a": [1, 2', '{"a": [1, 2]}'),
        ('{"a": 1, "b', '{"a": 1}'),
        ("{", "{}"),
    ],
)
def test_empty_and_cut_off_arguments_are_objects_for_templates(
    tmp_path: Path, template: str, arguments: Any, same_as: str
) -> None:
    chat = load_chat(make_chat(tmp_path, template))
    assert chat.render(history(arguments)) == chat.render(history(same_as))


@pytest.mark.parametrize("arguments", ["5", "[1]", '"x"', "東京", "[" * 100_000, '{"a":"\\ud800"}'])
def test_arguments_that_are_no_object_are_one_clear_line(tmp_path: Path, arguments: str) -> None:
    with pytest.raises(InputError, match=r"arguments of a tool call must be a JSON object") as error:
        load_chat(make_chat(tmp_path, HERMES)).render(history(arguments))
    assert error.value.param == "messages"


@pytest.mark.parametrize("arguments", ["", "null", None, " "])
def test_our_own_format_shows_empty_arguments_as_an_object(arguments: Any) -> None:
    chat = ChatML(Tokenizer.train(["東京"], 300))
    assert chat.render(history(arguments)) == chat.render(history("{}"))


@given(
    thought=st.text("a<think>/ \n東"),
    words=st.text("b<think>/ \n京"),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    opened=st.booleans(),
)
def test_thoughts_are_parted_wherever_the_text_is_cut(thought: str, words: str, cuts: list[int], opened: bool) -> None:
    thought = thought.replace("</think>", "")
    if (thought + "</think>").find("</think>") != len(thought):
        return
    text = ("" if opened else "\n<think>") + thought + "</think>" + words
    parted = ThoughtFilter(opened)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [parted.push(text[a:b]) for a, b in itertools.pairwise(places)] + [parted.finish()]
    assert "".join(piece for piece, _ in pieces) == thought.strip()
    assert "".join(piece for _, piece in pieces) == words.lstrip()
