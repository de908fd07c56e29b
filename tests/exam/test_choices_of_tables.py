"""Which choice a table says is right: read in the form that the table shows, or refused, never guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shosei.errors import InputError
from shosei.exam.benchmarks import Schema, read_benchmark

COLOURS = ["赤", "青", "白", "黒"]
NUMBERS = ["2", "4", "6", "8"]


def truths(path: Path, *rows: dict[str, Any], **schema: Any) -> str:
    path.write_text("".join(json.dumps({"question": "どれ？"} | row, ensure_ascii=False) + "\n" for row in rows))
    return "".join(task.truth for task in read_benchmark(path, Schema(**schema)))


def listed(choices: Any, *answers: Any) -> list[dict[str, Any]]:
    return [{"choices": choices, "answer": answer} for answer in answers]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (listed(COLOURS, "B", "d"), "BD"),
        (listed(COLOURS, "(Ｃ)"), "C"),
        (listed(COLOURS, "白", "赤"), "CA"),
        # A number of JSON is a place, though a choice's text reads the same.
        (listed(NUMBERS, 2), "C"),
        (listed(COLOURS, 0, 3), "AD"),
        (listed(COLOURS, 1, 4), "AD"),  # 4 of 4 can only be counted from 1
        # A string of JSON that is a choice is that choice.
        (listed(NUMBERS, "4", "2"), "BA"),
        (listed(COLOURS, "0", "2"), "AC"),
        (listed({"text": COLOURS, "label": ["1", "2", "3", "4"]}, "2", "4"), "BD"),
        (listed({"text": COLOURS, "label": ["1", "2", "3", "4"]}, 1), "A"),
        (listed({"text": COLOURS, "label": ["A", "B", "C", "D"]}, "C"), "C"),
        (listed({"text": NUMBERS, "label": ["4", "2", "8", "6"]}, "2"), "B"),  # its own labels go first
        (listed([{"label": "ア", "text": "犬"}, {"label": "イ", "text": "猫"}], "イ"), "B"),
        (listed({"ア": "犬", "イ": "猫"}, "イ", "ア"), "BA"),
        ([{"A": "赤", "B": "青", "D": "黒", "answer": "D"}], "C"),  # the third that there is, asked as C
        ([{"choice0": "赤", "choice1": "青", "choice2": "白", "label": 1}], "B"),
        ([{"choice1": "赤", "choice2": "青", "label": 0}, {"choice1": "赤", "choice2": "青", "label": 1}], "AB"),
    ],
)
def test_a_truth_is_what_the_table_says(tmp_path: Path, rows: list[dict[str, Any]], expected: str) -> None:
    assert truths(tmp_path / "t.jsonl", *rows) == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"A": "赤", "B": "青", "C": "白", "answer": 1}], "choice B if it is .* from 0, and A if it is .* from 1"),
        ([{"choice1": "赤", "choice2": "青", "label": 1}], "--answer-is index0 or --answer-is index1"),
        (listed(["B", "A"], "A"), "choice A if it is a letter or label, and B if it is a choice's text"),
        (listed([3, 2, 1, 0], 1), "--answer-is text or --answer-is index0"),
        (listed(COLOURS, "1"), "--answer-is index0 or --answer-is index1"),
        (listed(COLOURS, *([1, 2, 3] * 6)), "--answer-is index0 or --answer-is index1"),  # 18 rows and never a 0
        (listed(COLOURS, 0, 4), "t.jsonl:2: '4' is not a number that counts from 0, as other answers"),
        (listed(COLOURS, "A", "B", "白"), "t.jsonl:3: '白' is not a letter or label"),
        (listed(COLOURS, "A", "緑"), "t.jsonl:2: '緑' is none of the 4 choices"),
        (listed(COLOURS, True), "none of the 4 choices"),
        (listed(COLOURS, 2.5), "none of the 4 choices"),
        (listed(["赤", "赤", "青"], "赤"), "'赤' is the text of several choices: give its letter"),
        (listed(COLOURS, ""), "t.jsonl:1: the answer is empty"),
        (listed(["一つ"], 0), "the choices are not a list of 2 to 26 texts"),
        (listed([["赤"], ["青"]], 0), "the choices are not a list of 2 to 26 texts"),
    ],
)
def test_what_a_table_leaves_open_is_refused(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        truths(tmp_path / "t.jsonl", *rows)


def test_in_csv_a_number_has_no_type(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("question,A,B,C,D,answer\n何色？,赤,青,白,黒,1\n何色？,赤,青,白,黒,3\n")
    with pytest.raises(InputError, match=r"t.csv:2: the answer '1' is choice B .* --answer-is index0 or"):
        read_benchmark(path)
    for answer_is, expected in (("index0", "BD"), ("index1", "AC")):
        assert "".join(task.truth for task in read_benchmark(path, Schema(answer_is=answer_is))) == expected
    path.write_text("question,A,B,C,D,answer\n何色？,赤,青,白,黒,1\n何色？,赤,青,白,黒,4\n")
    assert [task.truth for task in read_benchmark(path)] == ["A", "D"]  # 4 can only be counted from 1
    path.write_text("question,A,B,C,D,answer\n1+1?,1,2,3,4,2\n")
    with pytest.raises(InputError, match="--answer-is text or --answer-is index0"):
        read_benchmark(path)


def test_what_the_user_says_of_the_answers_decides(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    assert truths(path, *listed(["B", "A"], "A"), answer_is="text") == "B"
    assert truths(path, *listed(["B", "A"], "A"), answer_is="letter") == "A"
    assert truths(path, *listed(COLOURS, 1), answer_is="index1") == "A"
    with pytest.raises(InputError, match="'0' is none of the 4 choices"):
        truths(path, *listed(COLOURS, 0), answer_is="index1")
    with pytest.raises(InputError, match="one of index0, index1, letter, text, not 'index2'"):
        Schema(answer_is="index2")


def test_a_task_keeps_its_choices(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    truths(path, *listed(COLOURS, 1))
    (task,) = read_benchmark(path)
    assert (task.choices, task.asked.split("\n")[1:5]) == (COLOURS, ["A. 赤", "B. 青", "C. 白", "D. 黒"])
