"""What must not lie over something else, wrap, or take more room than it deserves."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Locator, expect

from page_server import PageServer, about, streamed
from page_visit import ChatVisit
from shosei.wire.about import RatingAbout
from shosei.wire.rating_form import parse_rating_form
from visits import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER
PHONE = {"width": 390, "height": 760}
DESKTOP = {"width": 1280, "height": 800}
SURVEY = """
[survey]
after = 1
[[survey.questions]]
id = "useful"
words = { en = "How useful are the answers for your work?", ja = "回答は仕事の役に立ちますか？" }
[[survey.questions]]
id = "fast"
words = { en = "How fast are they?", ja = "速さはいかがですか？" }
"""


def box(locator: Locator) -> dict[str, float]:
    place = locator.bounding_box()
    assert place
    return dict(place)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
def test_the_copy_button_lies_beside_the_code(browser: Any, server: PageServer, viewport: dict[str, int]) -> None:
    server.answers.append(streamed(f"```\n{'x' * 300}\n```"))
    visit = ChatVisit(browser, server, viewport=viewport).ready()
    visit.ask("一")
    line = box(visit.answered("x" * 300).locator("pre"))
    copy = box(visit.page.get_by_role("button", name="コードをコピー"))
    assert line["x"] + line["width"] <= copy["x"]
    assert copy["x"] + copy["width"] <= viewport["width"]
    visit.context.close()


@pytest.mark.parametrize("locale", ["en-US", "ja-JP", "zh-CN"])
def test_the_button_that_tries_again_stands_beside_the_words_on_a_phone(
    browser: Any, server: PageServer, locale: str
) -> None:
    visit = ChatVisit(browser, server, locale=locale, viewport=PHONE).ready()
    server.gone = True
    visit.ask("一")
    banner = visit.page.get_by_role("alert")
    words, button = box(banner.locator("span")), box(banner.get_by_role("button"))
    assert words["x"] + words["width"] <= button["x"]
    assert words["y"] < button["y"] + button["height"] / 2 < words["y"] + words["height"]
    visit.context.close()


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
def test_a_survey_leaves_the_answer_in_sight_on_a_desktop(browser: Any, locale: str) -> None:
    ratings = RatingAbout.of(parse_rating_form(SURVEY, "form"), keep_text=False, rater="cookie")
    server = PageServer(about(ratings=ratings))
    visit = ChatVisit(browser, server, locale=locale, viewport=DESKTOP).ready()
    visit.ask("一")
    survey = visit.page.locator("#survey")
    expect(survey).to_be_visible()
    assert box(survey)["height"] < 0.36 * DESKTOP["height"]
    assert survey.evaluate("survey => survey.scrollHeight <= survey.clientHeight"), "and shows all of itself"
    expect(visit.answers.locator(".words")).to_be_in_viewport(ratio=1)
    visit.context.close()
    server.stop()
