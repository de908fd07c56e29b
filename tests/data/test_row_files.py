"""Files of training rows: told by what they hold, and named where no row can be read of them."""

from __future__ import annotations

import contextlib
import gzip
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from row_samples import ANSWERED, ASKED, CALL, GOOD, TOOL, answering, values, write_rows
from shosei.data.dialogues import Dialogue
from shosei.data.door import read_file
from shosei.errors import InputError
from train_samples import make_run
from verb import Shosei

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


@given(st.binary(max_size=60) | st.lists(values, max_size=3).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_rows_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    for content in (data, gzip.compress(data), b"\x1f\x8b" + data, b"[" + data):
        file.write_bytes(content)
        with contextlib.suppress(InputError):
            dialogues, intake = read_file(file)
            assert len(dialogues) + intake.faults.count == intake.rows


def test_where_no_row_can_be_used_five_are_shown(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "mine.jsonl", *[{"messages": []}] * 7)
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
    assert read_file(write_rows(tmp_path / "mine.jsonl", *[GOOD] * count))[1].rows == count


def test_a_broken_first_line_is_a_row_at_fault(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"messages": [\n' + json.dumps(GOOD) + "\n")
    assert read_file(file)[1].faults.count == 1


def test_a_fault_of_an_array_has_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('[\n{"messages": []},\n    oops\n]')
    with pytest.raises(InputError, match=r"mine\.json:3: .*\(line 3, column 5\)"):
        read_file(file)
