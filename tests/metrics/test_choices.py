"""Which choice an answer makes: as a careful reader would say, never as a guess."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from choice_answers import CALLED_OTHERWISE, CHOICES, EN, JA, ZH
from shosei.log import Score
from shosei.metrics.grading.grade import grade, mark

CASES = Path(__file__).parent / "cases" / "choices.jsonl"


def score(answer: str, truth: str = "B", choices: Sequence[str] = (), question: str = "") -> Score:
    return Score(
        suite="s",
        item="i",
        cluster="c",
        grader="choice",
        truth=truth,
        answer=answer,
        question=question,
        choices=list(choices),
    )


def read(answer: str, truth: str, choices: Sequence[str]) -> str:
    """The letter, or why there is none."""
    marked = mark(score(answer, truth, choices), {})
    return marked.extracted or marked.outcome


@pytest.mark.parametrize(
    ("tongue", "letter", "answer"),
    [(tongue, *case) for tongue, cases in (("ZH", ZH), ("JA", JA), ("EN", EN)) for case in cases],
)
def test_the_letter_that_is_chosen_is_read(tongue: str, letter: str, answer: str) -> None:
    assert read(answer, "A", CHOICES[tongue]) == letter


@pytest.mark.parametrize(("truth", "choices", "answer", "letter"), CALLED_OTHERWISE)
def test_choices_that_are_called_otherwise(truth: str, choices: list[str], answer: str, letter: str) -> None:
    assert read(answer, truth, choices) == letter


@pytest.mark.parametrize("case", [json.loads(line) for line in CASES.read_text("utf-8").splitlines()])
def test_a_reader_who_did_not_know_the_rules_agrees(case: dict[str, Any]) -> None:
    """``right`` is true, false or "ambiguous": what a person says of the answer."""
    letter = read(case["answer"], case["truth"], case["choices"])
    assert (letter if letter == "ambiguous" else letter == case["truth"]) == case["right"]


def test_an_ambiguous_answer_is_wrong_and_named() -> None:
    marked = mark(score("A or B.", choices=CHOICES["EN"]), {})
    assert (marked.right, marked.extracted, marked.outcome) == (False, "", "ambiguous")
    assert mark(score("I don't know."), {}).outcome == "none"
    assert grade(score("Kyoto", choices=CHOICES["EN"]), {}) is True


def test_a_question_that_lists_its_choices_needs_no_more() -> None:
    question = "旧都はどこですか。\nA. 東京\nB. 京都\nC. 大阪"
    assert grade(score("京都です。", question=question), {}) is True
    assert grade(score("AとCは誤りです。", question=question), {}) is True
    assert grade(score("AとCは誤りです。", question="旧都はどこですか。"), {}) is False


def test_a_letter_beyond_the_choices_is_none() -> None:
    assert read("E", "A", CHOICES["EN"]) == read("I think so.", "A", CHOICES["EN"]) == "none"


def test_a_text_that_two_choices_share_names_neither() -> None:
    assert read("Kyoto", "A", ["Kyoto", "Kyoto", "Nara", "Osaka"]) == "none"


def test_an_answer_that_goes_round_in_circles_is_read_all_the_same() -> None:
    assert read("Wait, is it A? No, B. " * 5000 + "The answer is D.", "A", CHOICES["EN"]) == "D"


@pytest.mark.parametrize("piece", ["```\n", "- \n", "A、", "A, ", "The answer is A. ", "> ", "you think A "])
def test_of_an_answer_that_never_ends_the_beginning_and_the_end_are_read(piece: str) -> None:
    assert read(piece * 100_000 + "\n\nWait, the answer is D.", "A", CHOICES["EN"]) == "D"
