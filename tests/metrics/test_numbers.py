"""The number of an answer: how it may be written, which one of several counts, and where nobody can tell.

The table is ``answers_with_numbers.jsonl`` beside this file: answer, truth, grade and why. Most of it was written by
somebody who had not seen the code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cn2an
import kanjize
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shosei.errors import InputError
from shosei.exam.benchmarks import Schema, read_benchmark
from shosei.log import Score
from shosei.metrics.grading.grade import grade, mark
from shosei.metrics.grading.numbers import extract_number, final_number, true_number, truth_text, written

CASES = [
    json.loads(line)
    for line in Path(__file__).with_name("answers_with_numbers.jsonl").read_text(encoding="utf-8").splitlines()
]


def number_score(answer: str, truth: str, lang: str = "") -> Score:
    return Score(suite="s", item="i", cluster="c", grader="number", truth=truth, answer=answer, lang=lang)


def right(answer: str, truth: str, lang: str = "") -> bool | None:
    return grade(number_score(answer, truth, lang), {})


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['answer'][-24:]!r}-{case['truth']}")
def test_the_table(case: dict[str, str]) -> None:
    marked = mark(number_score(case["answer"], case["truth"]), {})
    assert marked.right is (case["grade"] == "right"), case["why"]
    assert (marked.outcome == "ambiguous") == (case["grade"] == "ambiguous"), case["why"]


WIDE = str.maketrans("0123456789-,.", "０１２３４５６７８９－，．")
DIGITS: list[Callable[[int], str]] = [
    str,
    lambda value: f"{value:,}",
    lambda value: f"{value:,}".replace(",", "'"),
    lambda value: f"{value:,}".replace(",", "\u2009"),
    lambda value: f"{value:,}".replace(",", "{,}"),
    lambda value: f"{value}.00",
    lambda value: str(value).translate(WIDE),
    lambda value: f"{value:,}".translate(WIDE),
    lambda value: str(value).replace("-", "\u2212"),
    lambda value: str(value).replace("-", "マイナス"),
    lambda value: f"{value}円",
    lambda value: f"{'-' * (value < 0)}${abs(value):,}",
    lambda value: f"{value * 5}/5",
    lambda value: f"\\frac{{{value * 3}}}{{3}}" if value >= 0 else f"-\\frac{{{-value * 3}}}{{3}}",
    lambda value: f"\\text{{{value}}}",
]
CARRIERS = [
    "{}",
    "答案是{}。",
    "答案：{}",
    "所以一共是{}。",
    "先算第1步，再算第2步。\n因此，答案为 {}。",
    "答えは{}です。",
    "まず3と4を足します。\n\n答え：{}",
    "よって、{}です。",
    "正解は{}です。なお、2通りの解き方があります。",
    "The answer is {}.",
    "There are 3 boxes with 4 pens each.\nAnswer: {}",
    "First 2 + 2 = 4. Therefore, the answer is {}.",
    "So $x = {}$.",
    "9 and 7 were given.\n#### {}",
    "Because of the 2 boxes, \\boxed{{{}}}",
    "1. Count the pens.\n2. Write the answer down.\n\n**{}**",
]


@given(st.integers(-(10**12), 10**12), st.sampled_from(DIGITS), st.sampled_from(CARRIERS))
def test_a_number_is_read_back_from_any_writing_in_any_sentence(
    value: int, write: Callable[[int], str], carrier: str
) -> None:
    answer = carrier.replace("{{{}}}", "{%s}").replace("{}", "%s") % write(value)
    assert extract_number(answer) == value
    assert right(answer, str(value))
    assert not right(answer, str(value + 1))
    assert value == 0 or not right(answer, str(-value))


@example(5, "答案是{}。")
@example(6, "所以一共{}个。")
@given(st.integers(0, 10**15), st.sampled_from(["答案是{}。", "{}", "所以一共{}个。"]))
def test_chinese_numerals_are_read_back(value: int, carrier: str) -> None:
    """The oracle is cn2an, in plain and in formal characters. 伍 and 陆 by themselves are a name and the land: they are
    read as numbers only where a unit stands beside them."""
    assert extract_number(carrier.format(cn2an.an2cn(value, "low"))) == value
    assert extract_number(carrier.format(cn2an.an2cn(value, "up"))) == (None if value in (5, 6) else value)


@given(st.integers(1, 10**16 - 1), st.sampled_from(["答えは{}です。", "答え：{}", "よって、{}です。"]))
def test_japanese_numerals_are_read_back(value: int, carrier: str) -> None:
    """The oracle is kanjize: in characters alone, mixed with digits (1億2000万3千), and digit by digit (一二〇)."""
    for style in kanjize.KanjizeStyle:
        numeral = kanjize.number2kanji(value, kanjize.KanjizeConfiguration(style))
        if re.fullmatch("一二|二三|三四|四五|五六|六七|七八|八九", numeral):
            continue  # an estimate: five or six
        assert extract_number(carrier.format(numeral), japanese=True) == value


@given(st.integers(0, 10**6), st.integers(1, 6), st.booleans())
def test_decimals_are_exact(digits: int, places: int, negative: bool) -> None:
    value = Fraction(digits, 10**places) * (-1 if negative else 1)
    decimal = written(value)
    assert Fraction(decimal) == value
    assert extract_number(f"答案是{decimal}。") == value
    assert right(f"答案是{decimal}。", decimal)
    assert not right(f"答案是{decimal}。", written(value + Fraction(1, 10**7)))


@given(st.integers(1, 999), st.integers(2, 999))
def test_fractions_are_exact(above: int, below: int) -> None:
    for answer in (
        f"{above}/{below}",
        f"\\frac{{{above}}}{{{below}}}",
        f"{below}分之{above}",
        f"{below}分の{above}です",
    ):
        assert extract_number(answer) == Fraction(above, below)


@given(st.text(max_size=40), st.text("0123456789 .,%-/^eE×十百万億分之の割\\{}$#=\n", max_size=40))
def test_any_text_has_one_outcome(prose: str, signs: str) -> None:
    for answer in (prose, signs, prose + signs):
        found = final_number(answer)
        assert (found.outcome == "found") == (found.value is not None)
        assert found.outcome == "none" or found.text


@given(st.text("零〇一二三五两十百千万亿兆点・分之の割半廿壹拾0123.,-第年月日 ", max_size=12))
def test_any_han_numeral_has_one_outcome(numeral: str) -> None:
    for answer in (numeral, f"答案是{numeral}", f"共{numeral}个"):
        assert (final_number(answer).outcome == "found") == (extract_number(answer) is not None)


def test_the_text_it_was_read_from_is_said() -> None:
    assert final_number("先有3个。\n答案是18。").text == "18"
    assert final_number("He has ５ or 6.").text == "he has 5 or 6"


def test_the_language_of_a_task_decides_what_a_last_digit_counts() -> None:
    assert right("三百五", "305", "ja")
    assert right("三百五", "350", "zh")


@pytest.mark.parametrize(
    ("truth", "read"),
    [
        ("1,072", "1072"),
        ("-10", "-10"),
        ("x + 2 = 5\n#### 3", "3"),
        ("18個", "18"),
        ("三百二十一", "321"),
        ("12.50%", "12.5%"),
        ("2/6", "1/3"),
        ("$1.5 million", "1500000"),
        ("2 dozen", "2 dozen"),
    ],
)
def test_a_truth_is_kept_in_its_shortest_form(truth: str, read: str) -> None:
    number = true_number(truth)
    assert truth_text(number) == read
    assert true_number(read).value == number.value
    assert right(truth, read)


@pytest.mark.parametrize(
    "truth", ["3 or 4", "3-5", "2024年3月5日", "12:30", "答案是5", "约5", "5 apples and 3 pears", "1,2", ""]
)
def test_a_truth_that_is_not_one_number_is_refused(truth: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        true_number(truth)
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"question": "?", "answer": truth or "none"}, ensure_ascii=False) + "\n")
    with pytest.raises(InputError, match=r"t.jsonl:1: the answer '.*' is not (one number alone|a number): give"):
        read_benchmark(path, Schema(grader="number"))
    task = {"id": "a", "suite": "s", "lang": "zh", "cluster": "a", "messages": [], "grader": "number", "truth": truth}
    path.write_text(json.dumps(task) + "\n")
    with pytest.raises(InputError, match=r"t.jsonl: the truth of task 'a', '.*' is"):
        read_benchmark(path)


def test_a_table_whose_answers_are_dates_or_names_is_free_text(tmp_path: Path) -> None:
    for answer, grader in (("2024-03-05", "text"), ("Apollo 11", "text"), ("-11", "number"), ("so #### 11", "number")):
        path = tmp_path / "t.jsonl"
        path.write_text(json.dumps({"question": "?", "answer": answer}) + "\n")
        assert read_benchmark(path)[0].grader == grader


def test_the_list_of_answers_says_what_was_read() -> None:
    for answer, shown, outcome in (
        ("So it is 1/8.", "0.125", ""),
        ("1/3", "1/3", ""),
        ("5 or 6", "", "ambiguous"),
        ("?", "", "none"),
    ):
        score = Score(suite="s", item="i", cluster="c", grader="number", truth="1", answer=answer)
        assert mark(score, {}) == (False, shown, outcome)


def test_of_a_very_long_answer_the_beginning_and_the_end_are_read() -> None:
    """A model that goes round in circles writes megabytes; a grader that took minutes would look as if it hung."""
    circle = "So 2 + 3 = 5, and 5 - 3 = 2.\n" * 150_000
    assert extract_number(f"{circle}The answer is 18.") == 18
    assert extract_number(f"The answer is 18.\n{circle}") == 18
    assert extract_number(f"{circle}The answer is 18.\n{circle}") != 18


def test_boxes_that_nothing_closes_are_read_to_the_end() -> None:
    assert extract_number("\\boxed{" * 1_000 + "18") == 18
    assert extract_number("\\boxed{\\text{So }\\frac{1}{2}} then {\\boxed{3}") == 3
