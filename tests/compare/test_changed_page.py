"""The page of a comparison in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from answer_samples import SCRIPT, score
from changed_samples import A, B, decision
from shosei.compare import html
from visits import CONTRAST, NEEDS_BROWSER, Visit

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "compare.html"
    hostile = [score("hostile", "7", question=SCRIPT)], [score("hostile", SCRIPT, question=SCRIPT)]
    made = decision([*A, *hostile[0]], [*B, *hostile[1]], (SCRIPT, "b"))
    path.write_text(html(made), encoding="utf-8")
    return path.as_uri()


def test_it_opens_without_errors_and_speaks_three_languages(browser: Any, address: str) -> None:
    visit = Visit(browser, address, locale="en-GB")
    assert visit.page.locator("h1").inner_text() == f"{SCRIPT} → b"
    rows = visit.page.locator(".suite tbody tr:visible")
    assert rows.count() == 4, "what was lost is in sight"
    assert rows.first.locator("th .standing").inner_text() == "▼ lost"
    visit.page.get_by_role("button", name="日本語").click()
    assert rows.first.locator("th .standing").inner_text() == "▼ 正解から不正解"
    visit.page.get_by_label("回答を検索").fill("evil.example")
    assert rows.count() == 1
    assert visit.trouble == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_the_screen(browser: Any, address: str, scheme: str, width: int) -> None:
    size = {"width": width, "height": 800}
    visit = Visit(browser, address, viewport=size, color_scheme=scheme, locale="zh-CN")
    visit.page.locator(".all").click()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.evaluate(CONTRAST) == []


def test_it_reads_without_javascript(browser: Any, address: str) -> None:
    visit = Visit(browser, address, java_script_enabled=False)
    assert visit.page.locator(".suite tbody tr:visible").count() == 4
    assert "Question won?" in visit.page.locator(".suite").inner_text()
