"""A short answer in a sentence that adds nothing is right; one that says more, denies, asks or doubts is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.metrics.grading.free_text import exact_match
from shosei.metrics.grading.short_answer import gives_reference, holds_reference

RIVER = "日本でいちばん長い川はどれですか。"
CAPITAL = "加拿大的首都是哪座城市？"
PAINTER = "Who was the painter of Guernica?"


@pytest.mark.parametrize(
    ("question", "lang", "reference", "answer"),
    [
        (RIVER, "ja", "信濃川", "信濃川です。"),
        (RIVER, "ja", "信濃川", "答えは信濃川です。"),
        (RIVER, "ja", "信濃川", "正解：**信濃川**"),
        (RIVER, "ja", "信濃川", "日本でいちばん長い川は「信濃川」である。"),
        (RIVER, "ja", "信濃川", "それは信濃川だ"),
        (RIVER, "ja", "信濃川", "信濃川が日本でいちばん長い川です。"),
        ("どんな人ですか。", "ja", "好きだ", "好きだ。"),
        (CAPITAL, "zh", "渥太华", "答案：渥太华"),
        (CAPITAL, "zh", "渥太华", "正确答案是渥太华。"),
        (CAPITAL, "zh", "渥太华", "加拿大的首都是渥太华。"),
        (CAPITAL, "zh", "渥太华", "渥太华是加拿大的首都。"),
        (CAPITAL, "zh", "渥太华", "是渥太华。"),
        (PAINTER, "en", "Pablo Picasso", "Answer: Pablo Picasso"),
        (PAINTER, "en", "Pablo Picasso", "The correct answer is Pablo Picasso."),
        (PAINTER, "en", "Pablo Picasso", "The painter of Guernica was Pablo Picasso."),
        (PAINTER, "en", "Pablo Picasso", "It's Pablo Picasso."),
        (PAINTER, "en", "Pablo Picasso", "Pablo Picasso was the painter of Guernica."),
    ],
)
def test_a_sentence_that_adds_nothing_is_taken_away(question: str, lang: str, reference: str, answer: str) -> None:
    assert gives_reference(answer, ["何か別のもの", reference], lang, question)


@pytest.mark.parametrize(
    ("question", "lang", "reference", "answer"),
    [
        (RIVER, "ja", "信濃川", "信濃川ではありません。"),
        (RIVER, "ja", "信濃川", "信濃川ですか？"),
        (RIVER, "ja", "信濃川", "答えは信濃川？"),
        (RIVER, "ja", "信濃川", "信濃川だと思います。"),
        (RIVER, "ja", "信濃川", "信濃川と利根川です。"),
        (RIVER, "ja", "信濃川", "日本でいちばん短い川は信濃川です。"),
        (RIVER, "ja", "信濃川", "信濃川です。いや、利根川です。"),
        ("川ではないのはどれですか。", "ja", "琵琶湖", "川は琵琶湖です。"),
        (CAPITAL, "zh", "渥太华", "答案不是渥太华。"),
        (CAPITAL, "zh", "渥太华", "加拿大的首都不是渥太华。"),
        (CAPITAL, "zh", "渥太华", "美国的首都是渥太华。"),
        (CAPITAL, "zh", "渥太华", "加拿大的首都是渥太华吗"),
        (CAPITAL, "zh", "渥太华", "加拿大的首都"),
        (PAINTER, "en", "Pablo Picasso", "The answer isn't Pablo Picasso."),
        (PAINTER, "en", "Pablo Picasso", "The answer is not Pablo Picasso."),
        (PAINTER, "en", "Pablo Picasso", "Answer: Pablo Picasso or Miró"),
        (PAINTER, "en", "Pablo Picasso", "Pablo Picasso was not the painter of Guernica."),
        ("Who of them was not a painter?", "en", "Bach", "Bach was a painter."),
        (PAINTER, "en", "", "The answer is"),
    ],
)
def test_what_says_more_or_something_else_is_wrong(question: str, lang: str, reference: str, answer: str) -> None:
    assert not gives_reference(answer, [reference], lang, question)


@given(st.text(max_size=30), st.text(max_size=30))
def test_what_matches_exactly_is_right_whatever_the_question(answer: str, question: str) -> None:
    assert gives_reference(answer, [answer], "ja", question)
    if exact_match(answer, [question]):
        assert gives_reference(answer, [question], "", question)


@pytest.mark.parametrize(
    ("answer", "reference", "lang", "holds"),
    [
        ("信濃川だと思います。", "信濃川", "ja", True),
        ("I would say Pablo Picasso, the Spaniard.", "Pablo Picasso", "en", True),
        ("Picasso, Pablo", "Pablo Picasso", "en", False),
        ("Pablo", "Pablo Picasso", "en", False),
        ("なんでも", "", "ja", False),
    ],
)
def test_an_answer_may_hold_its_truth_beside_other_words(answer: str, reference: str, lang: str, holds: bool) -> None:
    assert holds_reference(answer, [reference], lang) is holds
