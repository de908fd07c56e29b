"""The tables of answers in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import card_samples
from answer_samples import hostile_scores, log_of, score
from shosei.card import answers, build, html
from shosei.log import Score
from visits import CONTRAST, NEEDS_BROWSER, Visit

pytestmark = NEEDS_BROWSER

SCORES = [
    *(score(f"w{n:02}", "8", question=f"Which of {n}?") for n in range(45)),
    score("r1", "7", question="ＡＰＩの上限は？", lang="ja"),
    score("r2", "7", question="东京到大阪\n有多远？", lang="zh"),
    score("long", "7", question="\n".join(f"line {n}" for n in range(40))),
    score("s1", "Straße", "STRASSE", suite="words"),
]


def write(folder: Path, scores: list[Score]) -> str:
    path = folder / "card.html"
    card = build(card_samples.log(), card_samples.metrics())
    path.write_text(html(card, answers=answers(log_of(*scores))), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("answers"), SCORES)


@pytest.fixture(scope="module")
def hostile_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("hostile"), hostile_scores())


def shown(visit: Visit) -> list[str]:
    """The names of the tasks whose rows are in sight."""
    names: list[str] = visit.page.locator(".suite tbody tr:visible th code").all_inner_texts()
    return names


def test_a_suite_opens_into_twenty_rows_at_a_time(browser: Any, address: str) -> None:
    visit = Visit(browser, address, locale="en-GB")
    sums = visit.page.locator(".suite").nth(1)
    assert "words" in sums.inner_text()
    sums = visit.page.locator(".suite").first
    assert "45 of 48 wrong" in sums.inner_text()
    assert shown(visit) == []
    sums.locator("summary").first.click()
    assert shown(visit) == [f"w{n:02}" for n in range(20)]
    assert sums.locator(".pages output").inner_text() == "1–20 / 48"
    for _ in range(2):
        sums.get_by_role("button", name="Next rows").click()
    assert shown(visit) == [f"w{n:02}" for n in range(40, 45)] + ["long", "r1", "r2"]
    assert sums.get_by_role("button", name="Next rows").is_disabled()
    sums.get_by_role("button", name="Previous rows").click()
    assert shown(visit)[0] == "w20"
    assert visit.trouble == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("which of 31", ["w31"]),
        ("APIの上限", ["r1"]),
        ("大阪 有多远", ["r2"]),
        ("R2", ["r2"]),
        ("strasse", ["s1"]),
        ("line 39", ["long"]),
        ("expected", []),
        ("nothing of the kind", []),
    ],
)
def test_the_search_finds_any_part_of_a_text_whatever_its_width_and_case(
    browser: Any, address: str, wanted: str, found: list[str]
) -> None:
    visit = Visit(browser, address, locale="en-GB")
    visit.page.get_by_label("Search the answers").fill(wanted)
    assert shown(visit) == found
    visit.page.get_by_label("Search the answers").fill("")
    assert visit.page.locator(".suite tbody tr:not([hidden])").count() == 21


def test_a_grade_is_searched_in_the_language_of_the_page(browser: Any, address: str) -> None:
    visit = Visit(browser, address, locale="ja-JP")
    visit.page.get_by_label("回答を検索").fill("不正解")
    assert visit.page.locator(".suite").first.locator(".pages output").inner_text() == "1–20 / 45"
    visit.page.get_by_role("button", name="简体中文").click()
    visit.page.get_by_label("搜索回答").fill("错误")
    assert visit.page.locator(".suite").first.locator(".pages output").inner_text() == "1–20 / 45"
    assert visit.trouble == []


def test_a_long_text_is_folded_and_opens_whole(browser: Any, address: str) -> None:
    visit = Visit(browser, address, locale="en-GB")
    visit.page.get_by_label("Search the answers").fill("line 39")
    folded = visit.page.locator(".suite details.long:visible summary")
    before = folded.bounding_box()["height"]
    folded.click()
    assert folded.bounding_box()["height"] > 5 * before
    assert folded.inner_text().splitlines()[-1] == "line 39"


def test_they_are_plain_tables_without_javascript(browser: Any, address: str) -> None:
    visit = Visit(browser, address, java_script_enabled=False)
    visit.page.locator(".suite > summary").first.click()
    assert len(shown(visit)) == 48
    assert not visit.page.locator(".answers input").is_visible()
    assert not visit.page.locator(".pages").first.is_visible()
    assert "Which of 44?" in visit.page.locator(".suite").first.inner_text()


def test_nothing_of_a_hostile_answer_runs_or_leaves_its_place(browser: Any, hostile_address: str) -> None:
    visit = Visit(browser, hostile_address, locale="en-GB", viewport={"width": 1280, "height": 800})
    for summary in visit.page.locator(".suite > summary").all():
        summary.click()
    for summary in visit.page.locator(".suite:visible .long > summary").all():
        summary.click()
    assert len(shown(visit)) == 6
    assert visit.page.locator("img, iframe").count() == 0
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 1280
    visit.page.get_by_label("Search the answers").fill('<script>alert("x")')
    assert shown(visit) == ["script"]
    assert visit.trouble == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN", "ja-JP"])
def test_they_fit_a_narrow_screen(browser: Any, address: str, hostile_address: str, scheme: str, locale: str) -> None:
    for where in (address, hostile_address):
        size = {"width": 360, "height": 800}
        visit = Visit(browser, where, viewport=size, color_scheme=scheme, locale=locale)
        for summary in visit.page.locator(".suite > summary").all():
            summary.click()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
        widths = visit.page.locator(".suite tbody td:visible").evaluate_all(
            "cells => cells.map(cell => cell.scrollWidth - cell.clientWidth)"
        )
        assert max(widths) <= 0, "nothing is cut off"
        assert visit.page.evaluate(CONTRAST) == []
