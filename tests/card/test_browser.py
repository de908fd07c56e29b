"""The page in a real browser, opened from a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import agent_samples
import card_samples
import recorded
from shosei.card import build, html, nearest_profile
from shosei.log import Event, Score, read_log
from shosei.metrics.cells import compute
from visits import CONTRAST, NEEDS_BROWSER, Visit

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("card") / "card.html"
    log = card_samples.log(name=card_samples.HOSTILE)
    card = msgspec.structs.replace(build(log, card_samples.metrics()), run=card_samples.HOSTILE)
    path.write_text(html(card), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def agents_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The card of an agent system, one of whose answers is hostile; nothing was trained."""

    def asked(event: Event) -> Event:
        if not isinstance(event, Score):
            return event
        return msgspec.structs.replace(
            event, question="いくつ？", lang="ja", answer=event.answer or card_samples.HOSTILE
        )

    run = recorded.write_events(tmp_path_factory.mktemp("agents"), [*map(asked, agent_samples.events())])
    log = read_log(run / "log")
    (run / "card.html").write_text(html(build(log, compute(log))), encoding="utf-8")
    return (run / "card.html").as_uri()


def test_it_opens_without_errors_or_requests_and_shows_thirty_cells(browser: Any, address: str) -> None:
    visit = Visit(browser, address, locale="en-GB")
    assert visit.page.locator("details.cell").count() == 30
    assert visit.page.locator("h1").inner_text() == card_samples.HOSTILE
    visit.page.locator(".all").click()
    visit.page.wait_for_selector("#response_time-inference canvas", state="visible")
    assert visit.page.locator("details[open]").count() == 30
    assert visit.page.locator("figure.drawn").count() == 4
    assert visit.trouble == []


def test_the_language_switch_changes_the_page_and_is_remembered(browser: Any, address: str) -> None:
    visit = Visit(browser, address, locale="ja-JP")
    names = visit.page.locator(".row h3")
    assert (visit.language, names.nth(4).inner_text()) == ("ja", "再現率")
    visit.page.get_by_role("button", name="简体中文").click()
    assert (visit.language, names.nth(4).inner_text()) == ("zh-CN", "召回率")
    assert visit.page.get_by_role("button", name="简体中文").get_attribute("aria-pressed") == "true"
    assert visit.page.locator("#satisfaction-training .unseen").first.text_content() == "训练, 未测量："
    visit.page.reload()
    assert visit.language == "zh-CN"
    visit.page.locator("#training_speed-training > summary").click()
    reason = visit.page.locator("#training_speed-training .reason")
    assert "至少需要 30" in reason.inner_text()
    visit.page.get_by_role("button", name="English").click()
    assert "too few time batches (2)" in reason.inner_text()
    assert visit.page.locator(".bar").first.get_attribute("title") == "data: from 0.0 s, for 8.0 s; exit code 0"
    assert visit.trouble == []


def test_a_language_that_was_asked_for_comes_before_the_browser_s(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "card.html"
    path.write_text(html(build(card_samples.log(), card_samples.metrics()), "ja"), encoding="utf-8")
    visit = Visit(browser, path.as_uri(), locale="zh-CN")
    assert (visit.language, visit.page.locator(".row h3").nth(4).inner_text()) == ("ja", "再現率")


def test_the_sentences_and_all_thirty_cells_are_seen_at_a_glance(browser: Any, address: str) -> None:
    visit = Visit(browser, address, viewport={"width": 1280, "height": 900}, locale="ja-JP")
    said, worst, last = (
        visit.page.locator(place).bounding_box() for place in (".said", ".concerns", "#satisfaction-inference")
    )
    assert said["y"] < worst["y"] < 300
    assert last["y"] + last["height"] <= 900
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN", "ja-JP"])
def test_a_phone_s_first_screen_has_the_sentences_and_the_worst_cells(
    browser: Any, tmp_path: Path, locale: str
) -> None:
    log = card_samples.log()
    metrics = card_samples.metrics()
    path = tmp_path / "card.html"
    path.write_text(html(build(log, metrics), hint=nearest_profile(metrics, log)), encoding="utf-8")
    visit = Visit(
        browser, path.as_uri(), viewport={"width": 390, "height": 844}, locale=locale, reduced_motion="reduce"
    )
    links = visit.page.locator(".concerns a")
    last = links.last.bounding_box()
    assert 3 <= links.count() <= 5
    assert last["y"] + last["height"] <= 844
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    links.first.click()
    opened = visit.page.locator("details.cell[open]")
    assert opened.count() == 1
    assert f"#{opened.get_attribute('id')}" == links.first.get_attribute("href")
    heading, columns = opened.locator("h4").bounding_box(), visit.page.locator(".columns").first.bounding_box()
    assert columns["y"] + columns["height"] <= heading["y"] <= 844, "not hidden below what stays in place"


# Every text of the page that its box cuts off.
CUT = """() => [...document.querySelectorAll("main *, header *")]
  .filter((e) => e.checkVisibility() && !e.closest(".unseen, .lanes, .uplot, .scroll"))
  .filter((e) => getComputedStyle(e).overflow !== "visible" && e.scrollWidth > e.clientWidth)
  .map((e) => e.textContent)"""


@pytest.mark.parametrize("width", [360, 900, 1280])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN", "ja-JP"])
def test_no_text_is_cut_off(browser: Any, address: str, locale: str, width: int) -> None:
    visit = Visit(browser, address, viewport={"width": width, "height": 844}, locale=locale)
    assert visit.page.evaluate(CUT) == []
    ellipses = (
        "() => [...document.querySelectorAll('.cell *')].filter((e) => getComputedStyle(e).textOverflow !== 'clip')"
    )
    assert visit.page.evaluate(f"({ellipses})().length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, address: str, scheme: str) -> None:
    """WCAG 2.2 AA: 4.5 to 1."""
    visit = Visit(browser, address, color_scheme=scheme, locale="en-GB")
    visit.page.locator(".all").click()
    assert visit.page.evaluate(CONTRAST) == []


def test_it_prints_on_few_pages_with_every_reason(browser: Any, address: str) -> None:
    visit = Visit(browser, address, locale="en-GB")
    pdf = visit.page.pdf(format="A4")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 5
    visit.page.emulate_media(media="print")
    reason = visit.page.locator("#training_speed-training .why")
    assert reason.evaluate("element => element.scrollWidth <= element.clientWidth")
    assert visit.page.locator(".languages").is_hidden()


def test_a_cell_opens_by_keyboard_and_by_link(browser: Any, address: str) -> None:
    visit = Visit(browser, address, locale="en-GB")
    definition = visit.page.locator("#f1-inference .definition")
    assert not definition.is_visible()
    visit.page.locator("#f1-inference > summary").focus()
    visit.page.keyboard.press("Enter")
    assert definition.inner_text().startswith("Harmonic mean")
    visit.page.goto(f"{address}#memory-training")
    assert visit.page.locator("#memory-training .definition").is_visible()


def test_it_reads_without_javascript(browser: Any, address: str) -> None:
    visit = Visit(browser, address, java_script_enabled=False)
    assert visit.page.locator("#pass_at_1-training .value").inner_text() == "96.1 %"
    visit.page.locator("#f1-inference > summary").click()
    assert visit.page.locator("#f1-inference table").count() == 2
    assert visit.page.locator("#f1-inference .matrix").is_visible()
    assert not visit.page.locator(".languages").is_visible()
    assert visit.page.locator(".lanes .bar").count() == 3
    visit.page.locator(".as-table summary").click()
    assert "no end recorded" in visit.page.locator(".as-table table").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_spills_over_a_narrow_screen(browser: Any, address: str, scheme: str) -> None:
    visit = Visit(browser, address, viewport={"width": 360, "height": 800}, color_scheme=scheme, locale="zh-CN")
    visit.page.locator(".all").click()
    visit.page.wait_for_selector("#response_time-inference canvas", state="visible")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_agents_and_wrong_tasks_are_read_without_javascript(browser: Any, agents_address: str) -> None:
    visit = Visit(browser, agents_address, java_script_enabled=False)
    agents = visit.page.locator("table.agents tbody tr")
    assert [agents.nth(n).inner_text().split()[:3] for n in range(3)] == [
        ["kana", "60.0", "%"],
        ["router", "20.0", "%"],
        ["sums", "0", "%"],
    ]
    wrong = visit.page.locator("table.wrong tbody tr")
    assert wrong.count() == 9
    assert card_samples.HOSTILE in wrong.first.inner_text()
    assert wrong.first.locator("span[lang=ja]").first.inner_text() == "いくつ？"
    training = visit.page.locator("#memory-training > summary")
    assert not training.is_visible()
    visit.page.locator(".folded > summary").first.click()
    assert training.is_visible()
    assert visit.page.locator("details.cell").count() == 30
    assert visit.trouble == []


def test_a_link_opens_what_a_cell_is_folded_away_in(browser: Any, agents_address: str) -> None:
    visit = Visit(browser, f"{agents_address}#memory-training", locale="en-GB")
    assert visit.page.locator("#memory-training .definition").is_visible()


def test_the_agents_are_switched_with_the_page(browser: Any, agents_address: str) -> None:
    visit = Visit(browser, agents_address, locale="en-GB")
    assert visit.page.locator("#wrong").inner_text() == "Wrong tasks 9 of 40"
    visit.page.get_by_role("button", name="简体中文").click()
    assert visit.page.locator("#wrong").inner_text() == "未解出的任务 40 个中有 9 个"
    assert visit.page.locator("table.wrong .why").first.inner_text() == "答错"
    assert visit.trouble == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN", "ja-JP"])
def test_agents_and_wrong_tasks_fit_a_narrow_screen(
    browser: Any, agents_address: str, scheme: str, locale: str
) -> None:
    visit = Visit(browser, agents_address, viewport={"width": 360, "height": 800}, color_scheme=scheme, locale=locale)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    for table in (".agents", ".wrong"):
        inside = visit.page.locator(f"table{table}").evaluate("element => element.scrollWidth")
        assert inside <= 360 - 2 * 14, "nothing is cut off, and no table must be pushed aside"
    name, expected = (visit.page.locator(f"table.wrong tbody {cell}").first for cell in ("th", "td:nth-child(3)"))
    assert min(cell.bounding_box()["width"] for cell in (name, expected)) > 250, "each on a line of its own"
    assert visit.page.evaluate(CONTRAST) == []
