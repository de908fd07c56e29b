"""Grading: what counts as right must not depend on accidents of writing, and must depend on everything else."""

from __future__ import annotations

import unicodedata

import jaconv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.log import Exec, Score
from shosei.metrics.grading.answer import normalise
from shosei.metrics.grading.grade import grade, outcomes
from shosei.metrics.grading.labels import NO_LABEL, predicted_label
from shosei.metrics.grading.programs import extract_code

SPACE = st.text(" \t\n\r\u3000\u00a0", max_size=4)
MARK = st.sampled_from(["", *"。．.｡!！?？"])
# Letters, digits and kana: texts that end in no sentence mark of their own.
WORD = st.text(st.characters(categories=["L", "N"]), min_size=1)


def score(grader: str, truth: str, answer: str, **fields: object) -> Score:
    return Score(suite="s", item="i", cluster="c", grader=grader, truth=truth, answer=answer, **fields)  # type: ignore[arg-type]


def execution(outcome: str) -> Exec:
    return Exec(suite="s", item="i", sample=0, backend="rlimits", level="rlimits", oracle="outside", outcome=outcome)


@given(SPACE, WORD, SPACE, MARK, SPACE)
def test_white_space_and_one_sentence_mark_around_an_answer_do_not_matter(
    before: str, word: str, gap: str, mark: str, after: str
) -> None:
    assert grade(score("exact", word, before + word + gap + mark + after), {})


@given(st.text(), st.text())
def test_answers_that_differ_in_more_than_that_are_wrong(left: str, right: str) -> None:
    def core(text: str) -> str:
        return unicodedata.normalize("NFC", text).strip().rstrip("。．.｡!！?？").rstrip()

    if core(left) != core(right):
        assert not grade(score("exact", left, right), {})


@given(st.text(min_size=1))
def test_something_never_becomes_nothing(text: str) -> None:
    assert bool(normalise(text)) == bool(text.strip())


@pytest.mark.parametrize("full", ["カタカナ", "ＡＢＣ", "１２３", "ガ"])
def test_full_and_half_width_stay_different(full: str) -> None:
    half = jaconv.z2h(full, kana=True, ascii=True, digit=True)
    assert half != full
    assert not grade(score("exact", full, half), {})
    assert grade(score("exact", full, full + "。"), {})


def test_two_codings_of_the_same_kana_are_the_same_answer() -> None:
    assert grade(score("exact", "が", "か\u3099"), {})


@pytest.mark.parametrize(
    ("truth", "answer", "right"),
    [
        ("一千二百三十四", "一千二百三十四。", True),
        ("千二百三十四", " 千二百三十四！\n", True),
        ("1234", "1234。。", False),
        ("1234", "答案是1234", False),
        ("1234", "12 34", False),
        ("3.5", "3.5", True),
        ("35", "3.5", False),
        ("日元", "", False),
        ("。", "", False),
    ],
)
def test_exact(truth: str, answer: str, right: bool) -> None:
    assert grade(score("exact", truth, answer), {}) is right


def test_a_label_is_named_or_it_is_the_class_of_none() -> None:
    labels = ["zh/数字", "ja/かな"]
    assert predicted_label(" ja/かな。\n", labels) == "ja/かな"
    assert [predicted_label(answer, labels) for answer in ("", "ja", "zh/数字 ja/かな", "不知道")] == [NO_LABEL] * 4
    assert grade(score("label", "zh/数字", "zh/数字"), {}) is True
    assert grade(score("label", "zh/数字", "ja/かな"), {}) is False


@given(st.lists(WORD, min_size=1), st.text())
def test_every_answer_has_exactly_one_predicted_class(labels: list[str], answer: str) -> None:
    assert predicted_label(answer, labels) in {*labels, NO_LABEL}
    assert all(normalise(predicted_label(label, labels)) == normalise(label) for label in labels)


def test_a_reference_is_as_right_as_the_truth() -> None:
    assert grade(score("exact", "十七", "17。", references=["17"]), {}) is True
    assert grade(score("exact", "十七", "１７", references=["17"]), {}) is False
    assert grade(score("text", "十七", "１７", references=["17"]), {}) is True
    assert grade(score("text", "東京、都", "東京 都。"), {}) is True
    assert grade(score("text", "東京都", "東京都庁"), {}) is False


def test_a_program_is_graded_by_what_became_of_it() -> None:
    program = score("python", "", "def f(): ...")
    assert grade(program, outcomes([execution("pass")])) is True
    for outcome in ("wrong", "exception", "cpu timeout", "sandbox violation", "no code"):
        assert grade(program, outcomes([execution(outcome)])) is False
    assert grade(program, {}) is None
    assert grade(program, outcomes([execution("infra")])) is None
    assert grade(score("python", "", "", sample=1), outcomes([execution("pass")])) is None


def test_a_failed_request_is_wrong_and_an_unknown_grader_is_an_error() -> None:
    assert grade(score("exact", "", "", error="timeout"), {}) is False
    with pytest.raises(ValueError, match="no grader 'bleu'"):
        grade(score("bleu", "", ""), {})


CODE = 'def 加(x):\n    """足し算。"""\n    return x + 1'


@pytest.mark.parametrize(
    "answer",
    [
        CODE,
        f"好的，代码如下：\n```python\n{CODE}\n```\n希望对你有帮助。",
        f"はい。```py\n{CODE}\n```以上です。",
        f"```\n{CODE}\n```\n```python\nprint(1)\n```",
        f"```python\n{CODE}",
        f"代码如下：\n{CODE}\n以上就是代码。",
        f"了解しました。\r\n{CODE}\r\n\r\nこの関数は一を足します。".replace("\n", "\r\n").replace("\r\r", "\r"),
        "1. 答え\n   ```python\n" + "\n".join(f"   {line}" for line in CODE.split("\n")) + "\n   ```",
    ],
)
def test_code_is_found_in_its_surroundings(answer: str) -> None:
    assert extract_code(answer) == CODE


def test_unfenced_code_begins_at_its_imports() -> None:
    code = "from math import gcd\nimport re\n\nasync def f(x):\n    return gcd(x, 4)"
    assert extract_code(f"from the start:\n{code}\n\n这样就可以了") == code


@pytest.mark.parametrize("answer", ["", "我不会。", "定义 def 一个函数", "def", "```python\n```", "from here on"])
def test_no_code(answer: str) -> None:
    assert extract_code(answer) == ""


@given(st.text())
def test_code_is_always_part_of_the_answer_or_nothing(answer: str) -> None:
    code = extract_code(answer)
    assert all(line.strip() in answer for line in code.split("\n"))


@given(st.text(alphabet=st.characters(exclude_characters="`\r"), max_size=40), WORD)
def test_any_prose_around_a_fence_is_left_out(before: str, after: str) -> None:
    assert extract_code(f"{before}\n```python\n{CODE}\n```\n{after}") == CODE
