"""CMRC 2018's own rule, against a few lines that try every run, and against cases worked out by hand."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from shosei.card import build, markdown, terminal
from shosei.card.words import Translator, translated
from shosei.compare.comparison import compare_logs
from shosei.log import Log, RunBegin, Score
from shosei.metrics.accuracy.classified import matching, mean_overlap
from shosei.metrics.cells import compute
from shosei.metrics.grading.cmrc2018 import exact_match, overlap, tokens
from shosei.metrics.grading.grade import grade
from shosei.metrics.service_level import ServiceLevel

FEW_HAN = st.text(st.sampled_from("东京都北大"), min_size=1, max_size=9)


def by_every_run(answer: str, reference: str) -> float:
    """F1 of the longest piece of the answer that the reference holds, a character a token."""
    pieces = (answer[i:j] for i in range(len(answer)) for j in range(i + 1, len(answer) + 1))
    longest = max((len(piece) for piece in pieces if piece in reference), default=0)
    return 2 * longest / (len(answer) + len(reference))


@given(FEW_HAN, FEW_HAN)
def test_f1_is_that_of_the_longest_run_of_both(answer: str, reference: str) -> None:
    assert overlap(answer, reference).f1 == pytest.approx(by_every_run(answer, reference))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("《北京》，中国。", ["北", "京", "中", "国"]),
        ("于1998年发行Windows 98", ["于", "1998", "年", "发", "行", "windows", "98"]),
        ("12,000.5米 U.S", ["12,000.5", "米", "u.s"]),
        ("Wi-Fi：A/B", ["wifiab"]),  # the list's marks vanish before words are told apart
        ("です!", ["です", "!"]),
        ("……", ["…", "…"]),
        ("，", []),
    ],
)
def test_tokens_by_hand(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("北京大学", "北京大学", 1.0),
        ("大学北京", "北京大学", 0.5),  # two of four in a row
        ("在1998年", "1998年", 2 * 2 / 5),
        ("", "北京", 0.0),
        ("。", "。", 0.0),  # nothing is left of either
    ],
)
def test_f1_by_hand(answer: str, reference: str, f1: float) -> None:
    assert overlap(answer, reference).f1 == pytest.approx(f1)


def test_exact_match_keeps_width_and_spaces() -> None:
    assert exact_match("《北京》。", ["北京"])
    assert exact_match(" WINDOWS", ["上海", "windows"])
    assert not exact_match("１９９８", ["1998"])
    assert not exact_match("北 京", ["北京"])


def test_the_rule_named_is_the_rule_that_counts() -> None:
    """An answer with its halves the other way round: one run of half its length, or all its characters."""
    fields = {
        "suite": "s",
        "item": "1",
        "cluster": "1",
        "truth": "天地玄黄宇宙洪荒",
        "answer": "宇宙洪荒天地玄黄",
        "lang": "zh",
    }
    theirs, ours = (Score(grader=grader, **fields) for grader in ("cmrc2018", "span"))
    assert (mean_overlap([theirs], "f1"), mean_overlap([ours], "f1")) == (0.5, 1.0)
    spaced = Score(grader="cmrc2018", **fields | {"answer": "天地玄黄 宇宙洪荒"})
    assert (matching([spaced]), grade(spaced, {})) == ([0.0], False)


@pytest.mark.parametrize(
    ("language", "said"), [("en", "CMRC 2018's own rule"), ("zh-CN", "CMRC 2018 自己"), ("ja", "CMRC 2018 独自の規則")]
)
def test_the_card_says_by_which_rule(language: str, said: str) -> None:
    scores = [
        Score(suite="s", item=str(n), cluster=str(n), grader="cmrc2018", truth="北京", answer="北", phase="inference")
        for n in range(40)
    ]
    log = Log(1, {RunBegin: [RunBegin(verb="exam", argv=[])], Score: scores})
    cell = next(metric for metric in compute(log) if (metric.id, metric.phase) == ("f1", "inference"))
    assert cell.value == pytest.approx(2 / 3)
    assert said in Translator(language).of(cell.detail)
    card = build(log, compute(log))
    console = Console(file=io.StringIO(), width=200)
    console.print(terminal(card, language))
    shown = {"terminal": console.file.getvalue(), "markdown": markdown(card, language)}  # type: ignore[attr-defined]
    for view in shown.values():
        assert said in " ".join(view.split())


@pytest.mark.parametrize(("graders", "compared"), [(("cmrc2018", "span"), False), (("span", "text"), True)])
def test_free_text_by_two_rules_is_not_compared(graders: tuple[str, str], compared: bool) -> None:
    sides = []
    for grader in graders:
        scores = [
            Score(
                suite=grader, item=str(n), cluster=str(n), grader=grader, truth="北京", answer="北", phase="inference"
            )
            for n in range(40)
        ]
        sides.append((grader, [Log(1, {RunBegin: [RunBegin(verb="exam", argv=[])], Score: scores})]))
    comparison = compare_logs(*sides, ServiceLevel(), {}, by_turns=False)
    cell = next(cell for cell in comparison.cells if (cell.id, cell.phase) == ("f1", "inference"))
    assert ("graded by other rules: cmrc2018 and shosei" in translated(cell.reason)) == (not compared)
    assert (cell.p is None) == (not compared)
