"""Training rows as people have them: every form and file gives the same dialogues, and what is none is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from row_samples import ANSWERED, ASKED, CALL, GOOD, SYSTEM, TOOL, answering, values, write_rows
from shosei.data.dialogues import Dialogue, RowFault, dialogue_of
from shosei.data.door import read_dialogues, read_file, take_dialogues
from shosei.data.examples import encode
from shosei.errors import InputError
from shosei.log import Run
from shosei.text import Tokenizer
from shosei.text.chat import ChatML


@pytest.fixture(scope="module")
def chat() -> ChatML:
    return ChatML(Tokenizer.train(["user\nassistant\nsystem\n"], 300))


def part(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


@pytest.mark.parametrize(
    "row",
    [
        GOOD,
        {
            "messages": [
                {"role": "user", "content": part("你好")},
                {"role": "assistant", "content": part("再") + part("见")},
            ]
        },
        {
            "messages": [{"role": "user", "content": "你好", "weight": None, "tool_calls": None}, ANSWERED],
            "tools": None,
        },
        {"conversations": [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "再见"}]},
        {"conversations": [ASKED, ANSWERED]},
        {"messages": [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "再见"}]},
        {"instruction": "你好", "input": "", "output": "再见"},
        {"prompt": "你好", "completion": "再见", "messages": None},
        {"prompt": [ASKED], "completion": [ANSWERED]},
        {"question": "你好", "answer": "再见"},
    ],
)
def test_every_form_says_the_same(row: dict[str, Any]) -> None:
    dialogue, ignored = dialogue_of(row)
    assert dialogue == Dialogue([ASKED, ANSWERED])
    assert not ignored


def test_what_else_the_forms_hold() -> None:
    alpaca = {"system": "短く。", "instruction": "訳せ", "input": "猫", "output": "cat", "history": [["一", "二"]]}
    said = [(message["role"], message["content"]) for message in dialogue_of(alpaca)[0].messages]
    assert said == [
        ("system", "短く。"),
        ("user", "一"),
        ("assistant", "二"),
        ("user", "訳せ\n猫"),
        ("assistant", "cat"),
    ]
    developer = {"messages": [{**SYSTEM, "role": "developer"}, ASKED, ANSWERED]}
    assert dialogue_of(developer)[0].messages[0] == SYSTEM
    share_gpt = {
        "system": "短く。",
        "conversations": [
            {"from": "human", "value": "你好"},
            {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
            {"from": "observation", "value": "3"},
            {"from": "gpt", "value": "再见"},
        ],
        "tools": json.dumps([TOOL["function"]]),
    }
    calling = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    messages = [SYSTEM, ASKED, calling, {"role": "tool", "content": "3"}, ANSWERED]
    assert dialogue_of(share_gpt)[0] == Dialogue(messages, tools=[TOOL])


@pytest.mark.parametrize("arguments", [{"x": 1}, '{"x": 1}', '{"x":1}'])
def test_arguments_of_calls_are_json_or_objects(arguments: Any) -> None:
    row = answering(tool_calls=[{"function": {"name": "f", "arguments": arguments}}])
    assert dialogue_of(row)[0].messages[1]["tool_calls"] == [CALL]


def test_weights_of_messages_and_rows() -> None:
    weights = [
        message.get("weight")
        for message in dialogue_of({"messages": [ASKED, ANSWERED | {"weight": 0}, ASKED, ANSWERED | {"weight": 1.0}]})[
            0
        ].messages
    ]
    assert weights == [None, 0, None, None]
    assert dialogue_of(GOOD | {"weight": 0})[0].messages[1]["weight"] == 0
    assert dialogue_of(GOOD | {"weight": 1})[0] == Dialogue([ASKED, ANSWERED])
    prompt = [ASKED, ANSWERED, ASKED]
    completed = dialogue_of({"prompt": prompt, "completion": [ANSWERED]})[0]
    assert [message.get("weight") for message in completed.messages] == [None, 0, None, None]


def test_what_nothing_is_made_of_is_told() -> None:
    row = {"messages": [ASKED | {"time": 3}, ANSWERED], "id": 7, "lang": "zh", "source": None}
    dialogue, ignored = dialogue_of(row)
    assert (dialogue.lang, ignored) == ("zh", {"id", "messages[].time"})
    for key in ("loss", "train"):  # others' names of a weight of 0
        assert dialogue_of(answering(content="a", **{key: False}))[1] == {f"messages[].{key}"}


FAULTS: list[tuple[Any, str]] = [
    (5, "a row is a JSON object, not a number"),
    ([GOOD], "a row is a JSON object, not a list"),
    ({}, "it has the keys (none); known are messages, "),
    ({"text": "a"}, "it has the keys text; known are"),
    ({"messages": []}, "it has no messages"),
    ({"messages": "a"}, "messages are a list, not a text"),
    ({"messages": ["a"]}, "message 1 is not an object, but a text"),
    ({"messages": [{"role": "user", "text": "hi"}]}, "message 1 has no content; it has the keys role, text"),
    ({"messages": [{"role": "bot", "content": "hi"}]}, "message 1: role: Input should be 'system'"),
    ({"messages": [{"content": "hi"}]}, "message 1: role: Field required"),
    ({"messages": [{"role": "user", "from": "human", "value": "a", "content": "a"}]}, "'role' and 'from'"),
    *(
        (
            {"messages": [{"role": "user", "content": content}]},
            "message 1: content: a message's content is text or a list",
        )
        for content in (5, True, {"type": "text", "text": "a"})
    ),
    *(
        ({"messages": [{"role": "user", "content": [part]}]}, "message 1: content[0]: a part is an object with a type")
        for part in (5, None, "a", part("a"))
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "message 1: content[0]: only text is read, and this part is of the type 'image_url'",
    ),
    ({"messages": [{"role": "user", "content": "a", "tool_calls": [CALL]}]}, "only an assistant calls tools"),
    (answering(content=""), "message 2, an answer, is empty"),
    (answering(content="a", weight=0.5), "a weight is 0 or 1"),
    (GOOD | {"weight": "much"}, "weight"),
    (answering(tool_calls=[{"id": "1", "name": "f"}]), "message 2: tool_calls[0].function: Field required"),
    (answering(tool_calls=[{"function": {"arguments": "{}"}}]), "tool_calls[0].function.name: Field required"),
    (answering(tool_calls=[{"function": {"name": "f", "arguments": '{"x": '}}]), "arguments of a call are not JSON"),
    (answering(tool_calls=[{"function": {"name": "f", "arguments": "[1]"}}]), "are a JSON object, not a list"),
    (answering(tool_calls=[{"function": {"name": "", "arguments": "{}"}}]), "message 2: a call has no name"),
    *(
        (answering(tool_calls=[{"function": {"name": "f", "arguments": f'{{"x": {number}}}'}}]), "are not JSON")
        for number in ("1e999", "-1e999", "NaN", "Infinity")
    ),
    (answering(tool_calls=[None]), "message 2: tool_calls[0]: it must be a JSON object"),
    (answering(function_call={"name": "f"}), "'function_call' is an old form: write 'tool_calls'"),
    (GOOD | {"functions": [TOOL]}, "'functions' is an old form: write 'tools'"),
    (GOOD | {"tools": [{"type": "function", "function": {}}]}, "tool 1: function.name: Field required"),
    (GOOD | {"tools": "[{"}, "tools are not JSON"),
    (GOOD | {"tools": '[{"name": "f", "parameters": {"maximum": 1e999}}]'}, "tools are not JSON"),
    (GOOD | {"tools": ["f"]}, "tool 1: it must be a JSON object"),
    (GOOD | {"prompt": "a", "completion": "b"}, "messages and prompt/completion, and could be read either way"),
    ({"conversations": [{"from": "bing", "value": "a"}]}, "from 'bing' is not one of human, "),
    ({"conversations": [{"from": "gpt"}]}, "message 1 has no content; it has the keys from"),
    ({"conversations": [{"from": "function_call"}]}, "message 1 has no content; it has the keys from"),
    ({"conversations": [{"from": "function_call", "value": "f()"}]}, "a function_call is not JSON"),
    ({"instruction": "a", "input": ["b"], "output": "c"}, "instruction and input are texts"),
    ({"instruction": "a", "output": ""}, "message 2, an answer, is empty"),
    ({"instruction": "a"}, "it has the keys instruction"),
    ({"prompt": 1, "completion": "b"}, "message 1: content"),
]


@pytest.mark.parametrize(("row", "words"), FAULTS)
def test_a_row_at_fault_is_named_and_the_others_are_used(tmp_path: Path, row: Any, words: str) -> None:
    file = write_rows(tmp_path / "mine.jsonl", GOOD, row)
    dialogues, intake = read_file(file)
    assert dialogues == [Dialogue([ASKED, ANSWERED])]
    assert (intake.rows, intake.faults.count) == (2, 1)
    (fault,) = intake.faults.first
    assert fault.startswith(f"{file}:2: ")
    assert words in fault
    with pytest.raises(InputError, match=r"mine\.jsonl:2: "):
        read_file(file, strict=True)


def test_the_first_five_faults_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    rows = [GOOD if number % 2 else {"a\x1b[31m": number} for number in range(1, 41)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"messages": [\n')
    _, intake = read_file(tmp_path / "mine.jsonl")
    first, *shown, last = intake.lines()
    assert first.endswith("20 of 41 rows can be used")
    assert [line.split(":")[1] for line in shown] == ["2", "4", "6", "8", "10"]
    assert last.strip().startswith("and 16 more")
    assert all(line.isprintable() for line in intake.lines())


messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool"]) | values},
    optional={"content": values, "weight": values, "tool_calls": st.lists(values, max_size=2) | values, "name": values},
)
turns = st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt", "function_call"]) | values, "value": values})
rows = st.fixed_dictionaries({"messages": st.lists(messages, max_size=3)}, optional={"tools": values, "weight": values})
others = st.fixed_dictionaries({"conversations": st.lists(turns, max_size=3)}, optional={"system": values})
pairs = st.fixed_dictionaries({"instruction": values, "output": values}, optional={"input": values, "history": values})


@given(values | rows | others | pairs | st.fixed_dictionaries({"prompt": values, "completion": values}))
def test_any_value_is_a_dialogue_that_can_be_laid_out_or_a_fault(chat: ChatML, row: Any) -> None:
    try:
        dialogue, _ = dialogue_of(row)
    except RowFault:
        return
    assert all(isinstance(message["content"], str) for message in dialogue.messages)
    assert dialogue_of({"messages": dialogue.messages, "tools": dialogue.tools})[0] == dialogue, "it is in normal form"
    for too_long in ("cut", "split", "drop"):
        examples, counts = encode([dialogue], chat, 40, too_long)
        assert not counts.refused.count
        assert all(any(mask) for _, mask in examples)


def test_a_run_reads_what_it_took(tmp_path: Path) -> None:
    full = {"messages": [SYSTEM, ASKED, {"role": "assistant", "tool_calls": [CALL]}, ANSWERED | {"weight": 0}]}
    run = Run(tmp_path / "run")
    take_dialogues(run, write_rows(tmp_path / "mine.jsonl", GOOD, full | {"tools": [TOOL], "lang": "ja"}))
    assert read_dialogues(run) == read_file(tmp_path / "mine.jsonl")[0]
    assert (run.data / "validation.jsonl").read_bytes() == b""
