"""The page of a search in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tuned
from card_samples import HOSTILE
from shosei.tune.page import html
from shosei.tune.report import Report
from visits import CONTRAST, NEEDS_BROWSER, Visit

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("tuned") / "tune.html"
    long = tuned.begin(target=HOSTILE, profile="a-profile-of-ours-with-a-name-that-is-far-too-long-for-a-phone")
    report = Report(HOSTILE, long, tuned.trials(), tuned.verdict(), ["shosei serve MODEL --config best.toml", HOSTILE])
    path.write_text(html(report), encoding="utf-8")
    return path.as_uri()


def test_it_opens_without_errors_or_requests_and_speaks_three_languages(browser: Any, address: str) -> None:
    visit = Visit(browser, address, locale="en-GB")
    assert visit.page.locator("h1").inner_text() == HOSTILE
    assert visit.page.locator(".course use").count() == 60
    assert visit.page.locator("#confirmation").inner_text() == "Confirmation"
    visit.page.get_by_role("button", name="日本語").click()
    assert visit.page.locator("#confirmation").inner_text() == "確認測定"
    *defaults, best = (tuned.trials()[place].value or 0.0 for place in (0, 1, 2, 44))
    gain = f"{100 * (best / (sum(defaults) / 3) - 1):+.1f}%"
    title = visit.page.locator(".course use title").nth(44)
    assert title.text_content() == f"45 番：slots = 32, weights = int4；{gain}"
    visit.page.get_by_role("button", name="すべて開く").click()
    assert visit.page.locator("details tbody tr:visible").count() == 60 + len(tuned.SPACE)
    assert visit.trouble == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN", "ja-JP"])
def test_it_fits_the_screen(browser: Any, address: str, scheme: str, width: int, locale: str) -> None:
    size = {"width": width, "height": 800}
    visit = Visit(browser, address, viewport=size, color_scheme=scheme, locale=locale)
    visit.page.locator(".all").click()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.evaluate(CONTRAST) == []


def test_every_mark_stands_within_its_chart(browser: Any, address: str) -> None:
    visit = Visit(browser, address, locale="en-GB")
    for chart in (".course .field", ".trade .field"):
        field = visit.page.locator(chart).bounding_box()
        boxes = [mark.bounding_box() for mark in visit.page.locator(f"{chart} use").all()]
        assert len(boxes) > 30
        for box in boxes:
            for side, length in (("x", "width"), ("y", "height")):
                assert field[side] - 8 <= box[side]
                assert box[side] + box[length] <= field[side] + field[length] + 8


def test_it_reads_without_javascript(browser: Any, address: str) -> None:
    visit = Visit(browser, address, java_script_enabled=False)
    assert "is better than the defaults" in visit.page.locator(".headline").inner_text()
    assert visit.page.locator(".effect:visible").count() == 2 + 1 + len(tuned.SPACE)
