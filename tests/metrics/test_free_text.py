"""Overlap of free text: accidents of writing and of spacing never matter, and everything else does."""

from __future__ import annotations

import jaconv
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shosei.metrics.grading.free_text import best_overlap, exact_match, overlap, says_no_answer, tokens

HAN_AND_KANA = st.text(st.sampled_from("東京都是日本的首都ひらがなカタカナー々〇"), min_size=1, max_size=12)
ANYTHING = st.text(max_size=20)


@given(ANYTHING, ANYTHING)
def test_swapping_the_two_swaps_precision_and_recall(left: str, right: str) -> None:
    assume(not says_no_answer(left) and not says_no_answer(right))  # which only an answer can say
    there, back = overlap(left, right), overlap(right, left)
    assert (there.precision, there.recall, there.f1) == (back.recall, back.precision, back.f1)


@given(ANYTHING, ANYTHING)
def test_f1_is_one_for_the_same_tokens_and_zero_for_none_in_common(left: str, right: str) -> None:
    assume(right.strip() or not says_no_answer(left))
    found = overlap(left, right)
    said, wanted = tokens(left), tokens(right)
    assert (found.f1 == 1) == (sorted(said) == sorted(wanted))
    assert (found.f1 == 0) == (not {*said} & {*wanted} and bool(said or wanted))
    assert 0 <= found.f1 <= 1
    if found.f1:
        assert found.f1 == pytest.approx(2 / (1 / found.precision + 1 / found.recall))


@given(HAN_AND_KANA, st.lists(st.sampled_from(["", " ", "\u3000", "\n"]), min_size=12, max_size=12))
def test_spaces_between_han_and_kana_do_not_matter(text: str, spaces: list[str]) -> None:
    spaced = "".join(character + space for character, space in zip(text, spaces, strict=False))
    assert tokens(spaced) == tokens(text) == list(text)
    assert exact_match(spaced, [text])


@given(st.text(st.sampled_from("カタカナＡＢｃ１２３ガ、。！「」"), min_size=1))
def test_width_case_and_punctuation_are_folded(text: str) -> None:
    half = jaconv.z2h(text, kana=True, ascii=True, digit=True)
    assert tokens(half) == tokens(text)
    assert overlap(f"字{half.upper()}", f"「字{text}」。").f1 == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GPT-4は2023年に", ["gpt", "4", "は", "2023", "年", "に"]),
        ("约１，２３４．５元", ["约", "1234.5", "元"]),
        ("3.5", ["3.5"]),
        ("－5度", ["-5", "度"]),
        ("−5", ["-5"]),
        ("1990年-1995年", ["1990", "年", "1995", "年"]),
        ("MP3を10km", ["mp3", "を", "10", "km"]),
        ("naïve Straße", ["naïve", "strasse"]),
        ("😊", ["😊"]),
        ("？！", ["?", "!"]),
        ("", []),
    ],
)
def test_what_is_a_token(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_by_hand() -> None:
    """Five of six characters are said, of seven wanted: what splitting on spaces would call 0."""
    found = overlap("東京大学です", "国立の東京大学で")
    assert found == (5 / 6, 5 / 8, 10 / 14)
    assert overlap("", "東京") == overlap("東京", "") == (0, 0, 0)
    assert overlap("哈哈", "哈").precision == 0.5


def test_the_best_reference_counts_for_all_three() -> None:
    assert best_overlap("北京市", ["上海", "北京", "中国的首都北京市区"]) == overlap("北京市", "北京")
    assert exact_match("北京。", ["上海", "北京"])
    assert not exact_match("京北", ["北京"])
    assert not exact_match("35", ["3.5"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Norman dynasty", "norman dynasty"),
        ("An apple a day", "apple day"),
        ("the", ""),
        ("A.", ""),
        ("Theory", "theory"),
        ("the-the", "thethe"),
        ("U.S.A.", "usa"),
        ("rock 'n' roll!", "rock n roll"),
        ("$1,000.50", "100050"),
        ("  two \n\t spaces  ", "two spaces"),
        ("state-of-the-art", "stateoftheart"),
        ("“quoted” – dash", "“quoted” – dash"),
        ("Beyoncé's", "beyoncés"),
        ("ＷＩＤＥ", "ｗｉｄｅ"),
    ],
)
def test_english_is_read_as_squad_does(text: str, expected: str) -> None:
    """By hand, from the order of SQuAD's script: lower case, ASCII punctuation, articles, white space."""
    assert " ".join(tokens(text, "en")) == expected


@pytest.mark.parametrize(
    ("answer", "reference", "f1", "exact"),
    [
        ("The cat sat.", "cat sat down", 0.8, False),
        ("a cat", "The Cat!", 1, True),
        ("cat the sat", "cat sat", 1, True),
        ("sat cat", "cat sat", 1, False),
        ("the", "a", 1, True),
        ("the", "cat", 0, False),
        ("cat cat", "cat", 2 / 3, False),
        ("10,000", "10000", 1, True),
    ],
)
def test_english_by_hand(answer: str, reference: str, f1: float, exact: bool) -> None:
    assert overlap(answer, reference, "en").f1 == pytest.approx(f1)
    assert exact_match(answer, [reference], "en") is exact


@pytest.mark.parametrize(
    ("answer", "denies"),
    [
        ("", True),
        (" \n", True),
        ("No answer.", True),
        ("N/A", True),
        ("unanswerable", True),
        ("The passage does not say when he was born.", True),
        ("The year is not mentioned in the text.", True),
        ("没有答案。", True),
        ("文中没有提到这一点。", True),
        ("无法回答", True),
        ("答えなし", True),
        ("本文には書かれていません。", True),
        ("本文からは分かりません。", True),
        ("1066", False),
        ("None of the Normans", False),
        ("The text does not say, but it was probably 1066.", False),
        ("文中没有提到，但应该是1066年。", False),
        ("The unknown soldier", False),
        ("The text does not say so itself. " + "It was in 1066. " * 8, False),
        ("无锡", False),
        ("なしの木", False),
    ],
)
def test_an_answer_may_say_that_there_is_none(answer: str, denies: bool) -> None:
    assert says_no_answer(answer) is denies
    assert exact_match(answer, [""], "en") is denies
    assert overlap(answer, "").f1 == float(denies)
    assert not exact_match(answer, ["1067"])
