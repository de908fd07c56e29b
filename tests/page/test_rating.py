"""Rating answers on the page: nothing is called saved before the server's disk has it, and no click is lost."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from page_server import PageServer, about, chunk, ending
from page_visit import ChatVisit
from shosei.wire.about import RatingAbout
from shosei.wire.rating_form import parse_rating_form
from visits import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER
FORM = """
scale = "stars"

[[tags]]
id = "wrong"
good = false
words = { en = "Wrong", ja = "誤り" }

[survey]
after = 2

[[survey.questions]]
id = "useful"
words = { en = "Useful?", ja = "役に立ちましたか？" }

[[survey.questions]]
id = "more"
kind = "text"
words = { en = "What is missing?", ja = "足りないものは？" }
"""


@pytest.fixture
def visit(visit: ChatVisit) -> ChatVisit:
    """One in which an answer stands."""
    visit.ask("一")
    visit.answered("はい、そうです。")
    return visit


def stars_server(*, keep_text: bool) -> PageServer:
    return PageServer(about(ratings=RatingAbout.of(parse_rating_form(FORM, "form"), keep_text, "address")))


def test_what_is_stored_is_said_before_the_first_click(visit: ChatVisit, server: PageServer) -> None:
    note = visit.answers.locator(".rating-note")
    expect(note).to_contain_text("時刻、回答の番号が記録されます")
    expect(note).to_contain_text("質問と回答の文章は記録されません")
    assert server.rated == []


def test_it_is_said_once_below_the_first_answer(visit: ChatVisit) -> None:
    for question in ("二", "三"):
        visit.ask(question)
        visit.answered("はい、そうです。")
    notes = visit.answers.locator(".rating-note")
    expect(notes.locator("visible=true")).to_have_count(1)
    expect(visit.answers.first.locator(".rating-note")).to_be_visible()
    visit.press("良い回答")
    expect(notes.locator("visible=true"), "whoever rates has read it").to_have_count(0)


def test_the_reasons_are_in_sight_on_a_phone(browser: Any, server: PageServer) -> None:
    visit = ChatVisit(browser, server, viewport={"width": 390, "height": 500}).ready()
    visit.ask("一")
    visit.answered("はい、そうです。")
    visit.press("良くない回答")
    send = visit.page.get_by_role("button", name="理由を送る")
    expect(send).to_be_in_viewport(ratio=1)
    button, field = send.bounding_box(), visit.page.locator("#dock").bounding_box()
    assert button
    assert field
    assert button["y"] + button["height"] <= field["y"], "the field for questions covers nothing"
    visit.context.close()


def test_a_thumb_is_saved_and_reasons_follow(visit: ChatVisit, server: PageServer) -> None:
    visit.press("良くない回答")
    expect(visit.page.get_by_role("status").get_by_text("保存しました")).to_be_visible()
    assert server.rated == [{"request": "chatcmpl-1", "thumbs": "down"}]
    expect(visit.page.get_by_label("コメント（任意）"), "a comment would not be kept").to_have_count(0)
    visit.press("間違っている")
    visit.press("短すぎる")
    visit.press("理由を送る")
    expect(visit.answers.locator(".rating-panel")).to_be_hidden()
    expect(visit.page.get_by_role("status").get_by_text("保存しました")).to_be_visible()
    assert server.rated[1] == {"request": "chatcmpl-1", "thumbs": "down", "tags": ["wrong", "too-short"]}
    visit.press("良い回答")
    expect(visit.page.get_by_role("status").get_by_text("保存しました")).to_be_visible()
    assert server.rated[2] == {"request": "chatcmpl-1", "thumbs": "up"}, "reasons of the other thumb are none of this"


def test_a_rating_is_taken_back_by_the_same_button(visit: ChatVisit, server: PageServer) -> None:
    status = visit.answers.locator(".rating-status")
    good = visit.page.get_by_role("button", name="良い回答")
    visit.press("良い回答")
    expect(status).to_have_text("保存しました")
    visit.press("良い回答")
    expect(status).to_have_text("評価を取り消しました")
    expect(good).to_have_attribute("aria-pressed", "false")
    expect(visit.answers.locator(".rating-panel")).to_be_hidden()
    assert server.rated == [{"request": "chatcmpl-1", "thumbs": "up"}, {"request": "chatcmpl-1", "withdrawn": True}]
    visit.page.reload()
    visit.ready()
    expect(status).to_have_text("評価を取り消しました")
    good.dblclick()
    expect(status).to_have_text("保存しました")
    assert server.rated[2:] == [{"request": "chatcmpl-1", "thumbs": "up"}], "a double click is one rating"


def test_a_failed_rating_says_so_survives_a_reload_and_is_sent_again(visit: ChatVisit, server: PageServer) -> None:
    server.feedback += [503] * 3
    visit.press("良い回答")
    status = visit.answers.locator(".rating-status")
    expect(status).to_have_text("まだ保存されていません。1 秒後に再送します")
    visit.page.reload()
    visit.ready()
    expect(status).to_have_text(re.compile("まだ保存されていません。"))
    expect(visit.page.get_by_role("button", name="良い回答")).to_have_attribute("aria-pressed", "true")
    expect(status).to_have_text("保存しました", timeout=30_000)
    assert server.rated == [{"request": "chatcmpl-1", "thumbs": "up"}]
    assert len(server.refused) == 3


def test_ratings_given_while_the_server_is_gone_arrive_once_it_is_back(visit: ChatVisit, server: PageServer) -> None:
    visit.ask("二")
    visit.answered("はい、そうです。")
    server.gone = True
    visit.answers.nth(0).get_by_role("button", name="良い回答").click()
    visit.answers.nth(1).get_by_role("button", name="良くない回答").click()
    visit.answers.nth(1).get_by_role("button", name="良い回答").click()
    expect(visit.answers.nth(0).locator(".rating-status")).to_contain_text("まだ保存されていません")
    assert server.rated == []
    visit.page.get_by_role("button", name="新しい会話").first.click()
    server.gone = False
    visit.page.wait_for_timeout(2500)
    visit.page.go_back()
    for place in (0, 1):
        expect(visit.answers.nth(place).locator(".rating-status")).to_have_text("保存しました", timeout=30_000)
    last = {rating["request"]: rating["thumbs"] for rating in server.rated}
    assert last == {"chatcmpl-1": "up", "chatcmpl-2": "up"}


def test_a_rating_that_the_server_will_never_take_is_told_of(visit: ChatVisit, server: PageServer) -> None:
    server.feedback.append(404)
    visit.press("良い回答")
    expect(visit.answers.locator(".rating-status")).to_have_text("保存できません：the disk is full")
    visit.page.reload()
    visit.ready()
    visit.page.wait_for_timeout(300)
    assert len(server.refused) == 1, "it is not sent again"


def test_stars_comments_and_a_survey_as_the_operator_has_them(browser: Any) -> None:
    server = stars_server(keep_text=True)
    visit = ChatVisit(browser, server).ready()
    visit.ask("一")
    visit.answered("はい、そうです。")
    expect(visit.answers.locator(".rating-note")).to_contain_text("文章もそのまま記録されます")
    visit.press("5 段階の 2")
    visit.press("誤り")
    visit.page.get_by_label("コメント（任意）").fill("七です")
    visit.press("理由を送る")
    expect(visit.answers.locator(".rating-status")).to_have_text("保存しました")
    assert server.rated[-1] == {"request": "chatcmpl-1", "stars": 2, "tags": ["wrong"], "comment": "七です"}
    visit.press("5 段階の 2")
    expect(visit.answers.locator(".rating-status")).to_have_text("評価を取り消しました")
    expect(visit.answers.locator('.rating [aria-pressed="true"]')).to_have_count(0)

    survey = visit.page.get_by_role("region", name="短いアンケート")
    expect(survey).to_have_count(0)
    visit.ask("二")
    expect(survey).to_be_visible()
    expect(survey.get_by_role("button", name="送信")).to_be_disabled()
    expect(survey).to_contain_text("アンケートを送ると、記入した内容")
    expect(survey).not_to_contain_text("評価すると")
    survey.get_by_role("group", name="回答には全体として").get_by_label("5 段階の 4").check()
    survey.get_by_role("group", name="役に立ちましたか？").get_by_label("5 段階の 5").check()
    survey.get_by_label("足りないものは？").fill("速さ")
    survey.get_by_role("button", name="送信").click()
    expect(survey).to_have_count(0)
    visit.page.wait_for_timeout(300)
    assert server.surveys == [{"request": "chatcmpl-2", "csat": 4, "answers": {"useful": 5, "more": "速さ"}}]
    assert visit.trouble == []
    visit.context.close()
    server.stop()


def test_a_survey_can_be_put_off_and_asks_for_no_text_that_is_not_kept(browser: Any) -> None:
    server = stars_server(keep_text=False)
    visit = ChatVisit(browser, server).ready()
    for question in ("一", "二"):
        visit.ask(question)
        visit.answered("はい、そうです。")
    survey = visit.page.get_by_role("region", name="短いアンケート")
    expect(survey.get_by_role("textbox")).to_have_count(0)
    survey.get_by_role("button", name="今はしない").click()
    visit.ask("三")
    visit.answered("はい、そうです。")
    expect(survey).to_have_count(0)
    assert server.surveys == []
    visit.context.close()
    server.stop()


def test_without_a_run_there_is_nothing_to_rate(browser: Any) -> None:
    server = PageServer(about(ratings=None))
    visit = ChatVisit(browser, server).ready()
    expect(visit.page.locator(".kept")).to_contain_text("ここでは回答を評価できません。")
    for place, question in enumerate("一二"):
        visit.ask(question)
        visit.answered("はい、そうです。", place)
    told = visit.answers.get_by_text("--run フォルダー を付けてサーバーを起動してください")
    expect(told.nth(0)).to_be_visible()
    expect(told.nth(1)).to_be_hidden()  # once is enough
    expect(visit.page.get_by_role("button", name="良い回答")).to_have_count(0)
    visit.context.close()
    server.stop()


def test_what_answers_in_the_server_s_place_saves_nothing(visit: ChatVisit, server: PageServer) -> None:
    """Such as the page of a hotel's network, with a status of 200."""
    visit.page.route("**/v1/feedback", lambda route: route.fulfill(body="<p>Log in</p>"), times=1)
    visit.press("良い回答")
    status = visit.answers.locator(".rating-status")
    expect(status).to_contain_text("まだ保存されていません")
    assert server.rated == []
    expect(status).to_have_text("保存しました", timeout=10_000)
    assert len(server.rated) == 1


def test_an_empty_answer_is_told_of_and_can_be_rated(visit: ChatVisit, server: PageServer) -> None:
    server.answers.append([chunk({"role": "assistant", "content": ""}), *ending(tokens=1)])
    visit.ask("二")
    expect(visit.answers.last.locator(".state")).to_have_text("モデルは何も答えませんでした。")
    visit.press("良くない回答")
    expect(visit.answers.last.locator(".rating-status")).to_have_text("保存しました")
    assert server.rated[-1]["thumbs"] == "down"
