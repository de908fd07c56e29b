"""Files of benchmarks as they come: arrays, lines in .json, byte order marks, other encodings, compression."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path

import pytest

from shosei import text_files
from shosei.errors import InputError
from shosei.exam.benchmarks import read_benchmark
from shosei.wire.suite import Task, read_suite, write_suite

ROWS = [{"sentence": "この店は良い", "label": "肯定"}, {"sentence": "この店は悪い", "label": "否定"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
QUESTION = {"question": "三加四等于几？", "answer": "7"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.json", json.dumps(ROWS, ensure_ascii=False, indent=1)),
        ("t.jsonl", json.dumps(ROWS)),
        ("t.json", LINES),
        ("t.json", LINES.splitlines()[0]),
        ("t.csv", "sentence,label\nこの店は良い,肯定\n"),
    ],
)
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_rows_are_found_in_every_usual_file(tmp_path: Path, name: str, text: str, mark: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(mark + text.encode())
    first, *rest = read_benchmark(path)
    assert (first.question, first.truth, first.grader) == ("この店は良い", "肯定", "label")
    assert [task.truth for task in rest] in ([], ["否定"])
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_benchmark(packed) == [first, *rest]


def test_a_suite_of_ours_may_have_a_byte_order_mark_and_be_compressed(tmp_path: Path) -> None:
    own = Task(id="a", suite="s", lang="ja", cluster="a", messages=[], grader="exact", truth="\u2028カナ")
    write_suite(tmp_path / "s.jsonl", [own])
    data = codecs.BOM_UTF8 + (tmp_path / "s.jsonl").read_bytes()
    (tmp_path / "s.jsonl").write_bytes(data)
    (tmp_path / "s.jsonl.gz").write_bytes(gzip.compress(data))
    assert read_suite(tmp_path / "s.jsonl") == read_benchmark(tmp_path / "s.jsonl.gz") == [own]


@pytest.mark.parametrize(
    ("encoding", "row", "named"),
    [
        ("gbk", QUESTION, "GBK"),
        ("cp932", ROWS[0], "Shift_JIS"),
        ("utf-16", QUESTION, "UTF-16"),
        ("euc_jp", ROWS[0], "EUC-JP"),
        ("big5", {"question": "臺灣最高的山是哪一座？", "answer": "玉山"}, "BIG5"),
    ],
)
def test_another_encoding_is_named_with_the_remedy(
    tmp_path: Path, encoding: str, row: dict[str, str], named: str
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(json.dumps(row, ensure_ascii=False).encode(encoding))
    with pytest.raises(InputError, match=rf"t.jsonl:1: not UTF-8 but, it seems, {named}: 'iconv -f {named} -t UTF-8"):
        read_benchmark(path)


def test_what_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "UNPACKED_BYTES", 1 << 20)
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * (1 << 20) + LINES.encode()))
    with pytest.raises(InputError, match="unpacks to more than 1 MiB"):
        read_benchmark(path)
    path.write_bytes(gzip.compress(LINES.encode())[:-9])
    with pytest.raises(InputError, match="damaged gzip"):
        read_benchmark(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.jsonl", LINES + "[" * 100_000, "t.jsonl:3: nested too deep"),
        ("t.json", "[" * 100_000, "nested too deep"),
        ("t.jsonl", '{"question": "\\ud83d", "answer": "1"}', "t.jsonl:1: an escape such as"),
        ("t.json", '[{"question": "a", "answer": "1"},\n{"question": }]', "t.json:2: not JSON"),
        ("t.json", '[{"question": "a", "answer": "1"}, 3]', "t.json, entry 2: not a JSON object but int"),
        ("t.jsonl", LINES + '{"sentence": "a", "label": ' + "9" * 5000 + "}", "t.jsonl:3: not JSON"),
    ],
)
def test_a_bad_row_is_one_line_with_its_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_benchmark(tmp_path / name)
    assert "\n" not in str(caught.value)
