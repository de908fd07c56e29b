"""What a user sees when the server is busy, gone, wants a key, or is sent too much: words, and nothing is lost."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from page_server import CUT, PageServer, chunk, streamed
from page_visit import ChatVisit
from visits import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER
BUSY = (429, {"error": {"message": "too many", "code": "queue_full"}}, {"Retry-After": "1"})


def test_a_busy_server_is_asked_again_when_it_says_so(visit: ChatVisit, server: PageServer) -> None:
    server.answers += [BUSY, BUSY, streamed("お待たせしました。")]
    visit.ask("一")
    expect(visit.answers.locator(".state")).to_have_text("サーバーが混み合っています。1 秒後にもう一度送信します。")
    visit.answered("お待たせしました。")
    assert len(server.asked) == 3


def test_the_wait_for_a_busy_server_can_be_stopped(visit: ChatVisit, server: PageServer) -> None:
    server.answers.append((503, {"error": {"message": "full"}}, {"Retry-After": "60"}))
    visit.ask("一")
    expect(visit.answers.locator(".state")).to_contain_text(re.compile("(59|60) 秒後"))
    visit.press("停止")
    expect(visit.answers.locator(".state")).to_contain_text("停止しました。")


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, {"message": "…", "code": "context_length_exceeded"}, "モデルに入る長さを超えています"),
        (400, {"message": "This model's maximum context length is 512 tokens"}, "モデルに入る長さを超えています"),
        (413, {"message": "the body is too large"}, "モデルに入る長さを超えています"),
        (504, {"message": "…", "code": "timeout"}, "打ち切りました"),
        (502, {"message": "…"}, "つながりません"),
        (400, {"message": "no such <b>field</b>"}, "サーバーに断られました：no such <b>field</b>"),
        (500, "Internal Server Error", "サーバーに断られました：Internal Server Error"),
    ],
)
def test_errors_are_words_and_the_question_can_be_asked_again(
    visit: ChatVisit, server: PageServer, status: int, error: Any, words: str
) -> None:
    server.answers.append((status, {"error": error}, {}))
    visit.ask("一")
    expect(visit.answers.locator(".state.bad")).to_contain_text(words)
    expect(visit.questions.locator(".words")).to_have_text("一")
    visit.press("やり直す")
    visit.answered("はい、そうです。")
    expect(visit.answers).to_have_count(1)


def test_an_error_within_an_answer_is_told_below_what_came(visit: ChatVisit, server: PageServer) -> None:
    error = b'data: {"error": {"message": "out of time", "code": "timeout"}}\n\n'
    server.answers.append([chunk({"content": "前半"}), error])
    visit.ask("一")
    answer = visit.answered("前半")
    expect(answer.locator(".state.bad")).to_contain_text("打ち切りました")


def test_a_question_waits_for_a_server_that_is_gone(visit: ChatVisit, server: PageServer) -> None:
    server.gone = True
    visit.ask("一")
    expect(visit.page.get_by_role("alert")).to_contain_text("サーバーが応答しません。")
    expect(visit.answers.locator(".state")).to_contain_text("復旧しだい、この質問を送信します。")
    visit.page.wait_for_timeout(3500)  # then the page waits for longer than a click takes
    button = visit.page.get_by_role("button", name="今すぐ試す").element_handle()
    visit.page.wait_for_timeout(1200)
    assert button.is_visible(), "the seconds count down beside the same button"
    server.gone = False
    button.click()
    visit.answered("はい、そうです。")
    expect(visit.page.get_by_role("alert")).to_be_hidden()


def test_an_answer_that_breaks_off_is_no_sign_that_the_server_is_gone(visit: ChatVisit, server: PageServer) -> None:
    """As one does whose server behind the gateway was lost."""
    visit.page.evaluate("""
      window.shown = [];
      const banner = document.getElementById("banner");
      new MutationObserver(() => shown.push(banner.hidden)).observe(banner, { attributes: true });
    """)
    server.answers += [[chunk({"content": "前半"}), CUT], [CUT], streamed("二度目です。")]
    visit.ask("一")
    expect(visit.answered("前半").locator(".state")).to_contain_text("回答が途中で切れました")
    visit.ask("二")
    visit.answered("二度目です。")
    visit.page.wait_for_timeout(300)
    assert visit.page.evaluate("shown") == []


def test_an_answer_lost_before_its_first_word_is_asked_for_again(visit: ChatVisit, server: PageServer) -> None:
    server.answers += [[CUT], streamed("二度目です。")]
    visit.ask("一")
    visit.answered("二度目です。")
    expect(visit.answers).to_have_count(1)


def test_what_was_typed_and_what_had_come_survive_a_reload(visit: ChatVisit, server: PageServer) -> None:
    server.answers.append([chunk({"content": "途中まで"}), "wait"])
    visit.ask("一")
    expect(visit.answers.locator(".words")).to_have_text("途中まで")
    visit.field.fill("書きかけの質問")
    visit.page.wait_for_timeout(1200)
    visit.page.reload()
    visit.ready()
    expect(visit.field).to_have_value("書きかけの質問")
    answer = visit.answered("途中まで")
    expect(answer.locator(".state")).to_contain_text("回答が終わる前にページが閉じられました。", timeout=15_000)
    server.gate.set()
    server.answers.append(streamed("、そして最後まで"))
    visit.press("続きを書かせる")
    visit.answered("途中まで、そして最後まで")


def test_a_key_is_asked_for_and_stays_in_the_tab(browser: Any, server: PageServer) -> None:
    server.key = "the-right-key-of-this-server"
    visit = ChatVisit(browser, server)
    for key, words in (("wrong", "API キーが必要です"), (server.key, "登録されていない")):
        expect(visit.page.get_by_role("dialog")).to_contain_text(words)
        visit.page.get_by_label("API キー").last.fill(key)
        visit.press("このキーを使う")
    visit.ready().ask("一")
    visit.answered("はい、そうです。")
    assert server.key not in visit.page.content()
    assert visit.page.evaluate("JSON.stringify(localStorage)").find(server.key) == -1
    visit.page.reload()
    visit.ready()
    other = ChatVisit(browser, server, context=visit.context)
    expect(other.page.get_by_role("dialog")).to_contain_text("API キーが必要です")
    assert visit.trouble + other.trouble == []
    visit.context.close()


def test_a_page_that_cannot_begin_says_why(browser: Any, server: PageServer) -> None:
    context = browser.new_context(locale="ja-JP")
    context.route("**/about.json", lambda route: route.fulfill(status=500, body='{"error": {"message": "no about"}}'))
    visit = ChatVisit(browser, server, context=context)
    expect(visit.page.get_by_role("alert")).to_have_text("サーバーに断られました：no about")
    context.close()


def test_an_answer_whose_end_has_no_reason_is_whole(visit: ChatVisit, server: PageServer) -> None:
    server.answers.append([chunk({"content": "全部です。"}), b"data: [DONE]\n\n"])
    visit.ask("一")
    answer = visit.answered("全部です。")
    expect(answer.locator(".state")).to_be_hidden()


def test_the_button_that_tries_again_keeps_the_focus_while_seconds_pass(visit: ChatVisit, server: PageServer) -> None:
    server.gone = True
    visit.ask("一")
    button = visit.page.get_by_role("button", name="今すぐ試す")
    button.focus()
    visit.page.wait_for_timeout(1500)
    expect(button).to_be_focused()
    server.gone = False
    visit.page.keyboard.press("Enter")
    visit.answered("はい、そうです。")


def test_a_file_whose_versions_run_in_a_ring_is_shown_as_a_tree(visit: ChatVisit, tmp_path: Path) -> None:
    nodes = [
        {"id": "q", "parent": "", "role": "user", "content": "問"},
        {"id": "a", "parent": "q", "role": "assistant", "content": "甲"},
        {"id": "b", "parent": "q", "role": "assistant", "content": "乙"},
    ]
    ring = {"": "q", "q": "a", "a": "q", "b": "", "toString": "a"}
    file = tmp_path / "ring.json"
    file.write_text(json.dumps({"shosei_conversation": 1, "title": "環", "nodes": nodes, "chosen": ring}))
    visit.page.get_by_role("button", name="設定").click()
    visit.page.locator("dialog input[type=file]").set_input_files(file)
    visit.answered("甲")
    expect(visit.questions).to_have_count(1)
