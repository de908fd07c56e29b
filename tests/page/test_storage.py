"""A browser that keeps nothing, or no more: the page goes on, and says so."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from page_server import PageServer
from page_visit import ChatVisit
from visits import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER
FULL = """() => {
  for (const [owner, name] of [[IDBObjectStore, "put"], [Storage, "setItem"]]) {
    owner.prototype[`true_${name}`] ??= owner.prototype[name];
    owner.prototype[name] = function () { throw new DOMException("full", "QuotaExceededError"); };
  }
}"""
GONE = """() => {
  IDBDatabase.prototype.transaction = () => { throw new DOMException("closing", "InvalidStateError"); };
}"""
ROOM = """() => {
  for (const [owner, name] of [[IDBObjectStore, "put"], [Storage, "setItem"]]) {
    owner.prototype[name] = owner.prototype[`true_${name}`];
  }
}"""
NOT_KEPT = "このブラウザーには保存できません。"


@pytest.mark.parametrize("trouble", [FULL, GONE])
def test_a_disk_that_takes_no_more_is_told_of_and_questions_and_ratings_are_sent(
    visit: ChatVisit, server: PageServer, trouble: str
) -> None:
    visit.ask("一")
    visit.answered("はい、そうです。")
    visit.page.evaluate(trouble)
    visit.ask("二")
    visit.answered("はい、そうです。")
    expect(visit.page.get_by_role("alert")).to_contain_text(NOT_KEPT)
    visit.press("良い回答")
    expect(visit.answers.last.locator(".rating-status")).to_have_text("保存しました")
    assert [rating["thumbs"] for rating in server.rated] == ["up"]
    visit.page.get_by_role("button", name="新しい会話").first.click()
    visit.ask("三")
    visit.answered("はい、そうです。")
    visit.page.get_by_role("button", name="新しい会話").first.click()
    visit.page.locator(".conversations").get_by_role("button", name="三", exact=True).click()
    visit.answered("はい、そうです。")


def test_what_the_disk_refused_is_kept_once_it_has_room(visit: ChatVisit, server: PageServer) -> None:
    visit.page.evaluate(FULL)
    visit.ask("一")
    visit.answered("はい、そうです。")
    alert = visit.page.get_by_role("alert")
    expect(alert).to_contain_text(NOT_KEPT)
    visit.page.evaluate(ROOM)
    visit.ask("二")
    visit.answered("はい、そうです。")
    expect(alert).to_be_hidden()
    visit.page.reload()
    visit.ready()
    expect(visit.questions.locator(".words")).to_have_text(["一", "二"])


def test_a_rating_that_is_sent_while_the_disk_is_full_is_not_sent_again(visit: ChatVisit, server: PageServer) -> None:
    """The disk still has an older one, which must not come after the newer."""
    visit.ask("一")
    visit.answered("はい、そうです。")
    server.feedback.append(503)
    visit.press("良い回答")
    expect(visit.answers.locator(".rating-status")).to_contain_text("まだ保存されていません")
    visit.page.evaluate(FULL)
    visit.press("良くない回答")
    expect(visit.answers.locator(".rating-status")).to_have_text("保存しました")
    visit.page.reload()
    visit.ready()
    visit.page.wait_for_timeout(500)
    assert [rating["thumbs"] for rating in server.rated][-1] == "down"


def test_a_browser_that_keeps_nothing_is_good_for_a_chat(browser: Any, server: PageServer) -> None:
    context = browser.new_context(locale="ja-JP")
    context.add_init_script("""
      const refuse = { get() { throw new DOMException("blocked", "SecurityError"); } };
      for (const name of ["localStorage", "sessionStorage", "indexedDB"]) Object.defineProperty(window, name, refuse);
    """)
    visit = ChatVisit(browser, server, context=context).ready()
    expect(visit.page.get_by_role("alert")).to_contain_text(NOT_KEPT)
    visit.ask("一")
    visit.answered("はい、そうです。")
    visit.press("良い回答")
    expect(visit.answers.locator(".rating-status")).to_have_text("保存しました")
    assert visit.trouble == []
    context.close()
