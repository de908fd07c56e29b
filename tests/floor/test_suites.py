"""Suites: they travel by file, and one that cannot be graded is refused by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shosei.errors import InputError
from shosei.wire.suite import Task, read_suites, suite_files, write_suite


def test_suites_travel_by_file(tmp_path: Path) -> None:
    task = Task(
        id="1",
        suite="和",
        lang="ja",
        cluster="1+2",
        messages=[{"role": "user", "content": "1+2は？"}],
        grader="python",
        truth="def f(): ...",
        entry_point="f",
        tests=[([1, [2]], {"a": 3})],
    )
    other = msgspec.structs.replace(task, id="2")
    write_suite(tmp_path / "b.jsonl", [task])
    write_suite(tmp_path / "a.jsonl", [other])
    assert read_suites(tmp_path) == [other, task]
    assert suite_files(tmp_path / "b.jsonl") == [tmp_path / "b.jsonl"]


def test_a_question_in_text_parts_is_its_text(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "1+2"}, {"type": "text", "text": "は？"}]
    messages = [{"role": "developer", "content": "短く。"}, {"role": "user", "content": parts}]
    task = {
        "id": "1",
        "suite": "和",
        "lang": "ja",
        "cluster": "",
        "messages": messages,
        "grader": "exact",
        "truth": "3",
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(task))
    (read,) = read_suites(tmp_path)
    assert read.messages == [messages[0], {"role": "user", "content": "1+2は？"}]
    assert read.question == "1+2は？"


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"id": 3}, "not a task"),
        ({"grader": "oracle"}, "grader 'oracle' is not one of"),
        ({"messages": [{"role": "user", "text": "3"}]}, "message 1 has no content; it has the keys role, text"),
        ({"messages": [{"role": "human", "content": "3"}]}, "message 1: role: Input should be 'system'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            r"message 1: content\[0\]: only text is read",
        ),
        ({"grader": "label", "references": ["x"]}, "grader 'label' takes no 'references'"),
        ({"grader": "python", "entry_point": "", "tests": [[[1], 1]]}, "needs an 'entry_point'"),
        ({"grader": "python", "entry_point": "f"}, "at least one of 'tests'"),
        ({"id": "1"}, "already has a task with the id '1'"),
    ],
)
def test_a_suite_that_cannot_be_graded_is_refused_by_file_and_line(
    second: dict[str, Any], words: str, tmp_path: Path
) -> None:
    first = {
        "id": "1",
        "suite": "和",
        "lang": "ja",
        "cluster": "1+2",
        "messages": [],
        "grader": "exact",
        "truth": "3",
    }
    for name, rows in {"a": [first], "b": [first | {"id": "0"}, first | {"id": "2"} | second]}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=rf"b\.jsonl:2: .*{words}"):
        read_suites(tmp_path)


def test_a_folder_without_suites_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \*\.jsonl"):
        read_suites(tmp_path)
