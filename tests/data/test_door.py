"""Training rows as people have them: every form and file gives the same dialogues, and what is none is named."""

from __future__ import annotations

import contextlib
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.data.dialogues import Dialogue, RowFault, dialogue_of
from shosei.data.door import read_dialogues, read_file, take_dialogues
from shosei.data.examples import encode
from shosei.errors import InputError
from shosei.log import Run
from shosei.spec import PRESETS
from shosei.text import Tokenizer
from shosei.text.chat import ChatML
from train_samples import TINY, make_run
from verb import Shosei

ASKED, ANSWERED = {"role": "user", "content": "你好"}, {"role": "assistant", "content": "再见"}
GOOD = {"messages": [ASKED, ANSWERED]}
SYSTEM = {"role": "system", "content": "短く。"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = {"id": "", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}


@pytest.fixture(scope="module")
def chat() -> ChatML:
    return ChatML(Tokenizer.train(["user\nassistant\nsystem\n"], 300))


def part(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def answering(**message: Any) -> dict[str, Any]:
    return {"messages": [ASKED, {"role": "assistant", **message}]}


def write(file: Path, *rows: Any) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


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
    file = write(tmp_path / "mine.jsonl", GOOD, row)
    dialogues, intake = read_file(file)
    assert dialogues == [Dialogue([ASKED, ANSWERED])]
    assert (intake.rows, intake.faults.count) == (2, 1)
    (fault,) = intake.faults.first
    assert fault.startswith(f"{file}:2: ")
    assert words in fault
    with pytest.raises(InputError, match=r"mine\.jsonl:2: "):
        read_file(file, strict=True)


CONTENTS = {
    "lines": "{0}\n{0}\n",
    "no end of the last line": "{0}\n{0}",
    "blank lines": "\n{0}\n\n  \n{0}\n\n",
    "CRLF": "{0}\r\n{0}\r\n",
    "an array": "[{0},{0}]",
    "an array over lines": "\n[\n  {0},\n  {0}\n]\n",
}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_files_form_is_told_by_its_content(tmp_path: Path, content: str, packed: bool, mark: str) -> None:
    data = (mark + content.replace("{0}", json.dumps(GOOD))).encode()
    for name in ("mine.jsonl", "mine.json.gz", "mine"):
        (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
        dialogues, intake = read_file(tmp_path / name)
        assert dialogues == [Dialogue([ASKED, ANSWERED])] * 2
        assert not intake.faults.count


def test_rows_of_parquet(tmp_path: Path) -> None:
    """Its tables have every key in every row; null where a row has none."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [GOOD, answering(tool_calls=[CALL]) | {"tools": json.dumps([TOOL])}, {"instruction": "a", "output": "b"}]
    parquet.write_table(
        pyarrow.Table.from_pylist([{"instruction": None, "output": None, **row} for row in rows], schema=None),
        tmp_path / "mine",
    )
    dialogues, intake = read_file(tmp_path / "mine")
    assert [len(dialogue.messages) for dialogue in dialogues] == [2, 2, 2]
    assert not intake.ignored


def test_fields_of_structs_that_a_row_of_parquet_has_not(tmp_path: Path) -> None:
    """A struct has the keys of all rows: the arguments of one tool's call are null in the calls of another."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    calls = [{"id": "", "type": "function", "function": {"name": "f", "arguments": {key: 1}}} for key in "xy"]
    table = pyarrow.Table.from_pylist([answering(tool_calls=[call]) for call in calls])
    parquet.write_table(table, tmp_path / "mine")
    taught = [dialogue.messages[1]["tool_calls"] for dialogue in read_file(tmp_path / "mine")[0]]
    assert [call["function"]["arguments"] for (call,) in taught] == ['{"x":1}', '{"y":1}']
    (tmp_path / "packed").write_bytes(gzip.compress((tmp_path / "mine").read_bytes()))
    with pytest.raises(InputError, match="packed by gzip"):
        read_file(tmp_path / "packed")


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "9" * 5000])
def test_an_array_with_a_number_that_is_none_keeps_its_other_rows(tmp_path: Path, number: str) -> None:
    (tmp_path / "mine").write_text(f'[{json.dumps(GOOD)},\n{{"prompt": "a", "score": {number}}},\n{json.dumps(GOOD)}]')
    dialogues, intake = read_file(tmp_path / "mine")
    assert (len(dialogues), intake.rows) == (2, 3)
    assert intake.faults.first[0].startswith(f"{tmp_path / 'mine'}:2: not JSON")


def test_parquet_without_its_library_is_one_line(
    tmp_path: Path, shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    run.log.mkdir()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "mine.jsonl").write_bytes(b"PAR1 and more")
    code, _, err = shosei("train", "--run", run.folder, "--dialogues", tmp_path / "mine.jsonl")
    assert (code, err.count("\n")) == (2, 1)
    assert ".[data]" in err


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "has no rows"),
        (b"\n \n", "has no rows"),
        (b"[]", "has no rows"),
        (b'[{"messages": ', "mine:1: not a JSON array"),
        (b'[\n{"prompt": "a"},\n]', "mine:3: not a JSON array"),
        (b'[\n{"prompt": "a"}\n{"prompt": "b"}]', "mine:3: not a JSON array"),
        (b"[" * 100_000, "not a JSON array"),
        (gzip.compress(b'{"messages": []}\n' * 99, mtime=0)[:-9], "damaged gzip"),
        (b"\x1f\x8bno", "damaged gzip"),
        ('{"prompt": "今天天气怎么样", "completion": "很好"}\n'.encode("gbk"), "mine:1: not UTF-8 but, it seems, GBK"),
        (
            '{"prompt": "お元気ですか", "completion": "はい"}\n'.encode("cp932"),
            "mine:1: not UTF-8 but, it seems, Shift_JIS",
        ),
        ('{"prompt": "日本国首都", "completion": "東京"}\n'.encode("cp932"), "it seems, Shift_JIS"),
        ('{"prompt": "中国的首都是", "completion": "北京"}\n'.encode("gbk"), "it seems, GBK"),
        ('{"prompt": "a", "completion": "b"}\n'.encode("utf-16"), "mine:1: not UTF-8 but, it seems, UTF-16"),
        ('{"prompt": "a", "completion": "b"}\n'.encode("utf-32"), "mine:1: not UTF-8 but, it seems, UTF-32"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "mine").write_bytes(data)
    with pytest.raises(InputError, match=words):
        read_file(tmp_path / "mine")


def test_a_line_without_end_is_a_row_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shosei.data.records.LINE_BYTES", 100)
    good = json.dumps({"prompt": "a", "completion": "b"})
    for length in (99, 100, 101, 102, 202, 350):
        long = json.dumps({"prompt": "a", "completion": "b" * (length + 1 - len(good))})
        assert len(long) == length
        (tmp_path / "mine").write_text(f"{long}\n{good}\n{long}")
        dialogues, intake = read_file(tmp_path / "mine")
        assert (len(dialogues), intake.faults.count) == ((3, 0) if length <= 100 else (1, 2))


def test_a_folder_and_nothing_are_no_files(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="cannot read"):
            read_file(path)


def test_the_first_five_faults_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    rows = [GOOD if number % 2 else {"a\x1b[31m": number} for number in range(1, 41)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"messages": [\n')
    _, intake = read_file(tmp_path / "mine.jsonl")
    first, *shown, last = intake.lines()
    assert first.endswith("20 of 41 rows can be used")
    assert [line.split(":")[1] for line in shown] == ["2", "4", "6", "8", "10"]
    assert last.strip().startswith("and 16 more")
    assert all(line.isprintable() for line in intake.lines())


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["user", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "messages",
                    "conversations",
                    "role",
                    "content",
                    "from",
                    "value",
                    "type",
                    "text",
                    "tools",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "weight",
                    "instruction",
                    "input",
                    "output",
                    "prompt",
                    "completion",
                    "history",
                    "system",
                    "id",
                ]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
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


@given(st.binary(max_size=60) | st.lists(values, max_size=3).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_rows_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    for content in (data, gzip.compress(data), b"\x1f\x8b" + data, b"[" + data):
        file.write_bytes(content)
        with contextlib.suppress(InputError):
            dialogues, intake = read_file(file)
            assert len(dialogues) + intake.faults.count == intake.rows


def test_a_run_reads_what_it_took(tmp_path: Path) -> None:
    full = {"messages": [SYSTEM, ASKED, {"role": "assistant", "tool_calls": [CALL]}, ANSWERED | {"weight": 0}]}
    run = Run(tmp_path / "run")
    take_dialogues(run, write(tmp_path / "mine.jsonl", GOOD, full | {"tools": [TOOL], "lang": "ja"}))
    assert read_dialogues(run) == read_file(tmp_path / "mine.jsonl")[0]
    assert (run.data / "validation.jsonl").read_bytes() == b""


@pytest.fixture
def small_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setitem(PRESETS, "nano", TINY)
    run = make_run(tmp_path / "run")
    (run.data / "validation.jsonl").write_bytes(b"")
    run.log.mkdir()
    return run


def test_training_goes_on_without_the_rows_at_fault(tmp_path: Path, shosei: Shosei, small_run: Run) -> None:
    file = write(tmp_path / "mine.jsonl", GOOD, {"messages": []}, GOOD, {"messages": [ASKED]}, *[GOOD] * 5)
    options = ("--run", small_run.folder, "--dialogues", file, "--set", "train.max_steps=1")
    before = (small_run.data / "train.jsonl").read_bytes()
    code, _, err = shosei("train", *options, "--strict")
    assert code == 2
    assert "mine.jsonl:2: it has no messages" in err
    assert (small_run.data / "train.jsonl").read_bytes() == before
    code, _, err = shosei("train", *options)
    assert code == 0, err
    assert "8 of 9 rows can be used" in err
    assert "mine.jsonl:2: it has no messages" in err
    assert "1 of 8 rows teach nothing" in err
    assert "6 of 8 rows are exact duplicates" in err
    assert len(read_dialogues(small_run)) == 8


@pytest.mark.parametrize(
    ("row", "options", "words"),
    [
        ({"messages": []}, [], "none of 1 rows can be used"),
        ({"messages": [ASKED]}, [], "1 of 1 rows teach nothing"),
        (GOOD | {"weight": 0}, [], "1 of 1 rows teach nothing"),
        (answering(content="長" * 3000), ["--too-long", "drop"], "longer than the 512 tokens"),
        ({"messages": [{"role": "user", "content": "長" * 3000}, ANSWERED]}, [], "1 of 1 rows teach nothing"),
        ({"messages": [{"role": "environment", "content": "a"}]}, [], "1 of 1 rows teach nothing"),
    ],
)
def test_a_file_that_teaches_nothing_replaces_nothing(
    tmp_path: Path, shosei: Shosei, small_run: Run, row: Any, options: list[str], words: str
) -> None:
    before = (small_run.data / "train.jsonl").read_bytes()
    file = write(tmp_path / "mine.jsonl", row)
    code, _, err = shosei("train", "--run", small_run.folder, "--dialogues", file, *options)
    assert (code, err.count("\n")) == (2, 1), err
    assert words in err
    assert (small_run.data / "train.jsonl").read_bytes() == before


def test_where_no_row_can_be_used_five_are_shown(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.jsonl", *[{"messages": []}] * 7)
    with pytest.raises(InputError, match="none of 7 rows can be used: ") as raised:
        read_file(file)
    assert [f"{file}:{number}: it has no messages" in str(raised.value) for number in range(1, 8)] == [True] * 5 + [
        False
    ] * 2
    assert str(raised.value).endswith("; and 2 more")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("indent", [2, 0])
def test_an_object_over_several_lines_is_named(tmp_path: Path, count: int, indent: int) -> None:
    file = tmp_path / "mine.json"
    file.write_text("\n".join([json.dumps(GOOD, indent=indent)] * count))
    with pytest.raises(InputError, match="a JSON object over several lines; write each row as one line, or all"):
        read_file(file)
    assert read_file(write(tmp_path / "mine.jsonl", *[GOOD] * count))[1].rows == count


def test_a_broken_first_line_is_a_row_at_fault(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"messages": [\n' + json.dumps(GOOD) + "\n")
    assert read_file(file)[1].faults.count == 1


def test_a_fault_of_an_array_has_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('[\n{"messages": []},\n    oops\n]')
    with pytest.raises(InputError, match=r"mine\.json:3: .*\(line 3, column 5\)"):
        read_file(file)
