"""Conversations that the browser keeps: history, files, and several tabs at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from page_server import WAIT, PageServer, chunk, ending, streamed
from page_visit import ChatVisit
from visits import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER


def test_a_conversation_is_exported_deleted_and_imported(visit: ChatVisit, server: PageServer, tmp_path: Path) -> None:
    server.answers += [streamed("**甲**"), streamed("乙")]
    visit.ask("一/二？")
    visit.answered("甲")
    visit.press("もう一度回答させる")
    visit.answered("乙")
    files = {}
    visit.page.get_by_role("button", name="設定").click()
    for form in ("JSON", "Markdown"):
        with visit.page.expect_download() as download:
            visit.press(f"{form} で書き出す")
        files[form] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[form])
    assert files["Markdown"].name == "一 二？.md"
    assert files["Markdown"].read_text(encoding="utf-8") == "# 一/二？\n\n## あなた\n\n一/二？\n\n## モデル\n\n乙\n\n"
    visit.press("会話をすべて削除")
    visit.press("本当にすべて削除しますか？")
    expect(visit.page.locator(".conversations")).to_contain_text("ここに会話が並びます")
    expect(visit.answers).to_have_count(0)

    visit.page.get_by_role("button", name="設定").click()
    visit.page.locator("dialog input[type=file]").set_input_files(files["JSON"])
    visit.answered("乙")
    visit.press("前の版")
    visit.answered("甲")

    messages = tmp_path / "messages.json"
    messages.write_text(json.dumps([{"role": "user", "content": "問"}, {"role": "assistant", "content": "答"}]))
    visit.page.get_by_role("button", name="設定").click()
    visit.page.locator("dialog input[type=file]").set_input_files(messages)
    visit.answered("答")


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        '{"shosei_conversation": 1, "nodes": [{"id": "a", "parent": "missing", "role": "user", "content": "x"}]}',
        '{"shosei_conversation": 1, "nodes": [null]}',
        '{"shosei_conversation": 1, "nodes": []}',
        '{"shosei_conversation": 1, "nodes": [{"id": "a", "parent": "a", "role": "user", "content": "x"}]}',
        '[{"role": "user", "content": {"a": 1}}]',
        '[{"role": "user", "content": null}]',
        '[{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "of no call", "content": "7"}]',
    ],
)
def test_a_file_that_holds_no_conversation_is_told_of(visit: ChatVisit, tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    visit.page.get_by_role("button", name="設定").click()
    visit.page.locator("dialog input[type=file]").set_input_files(file)
    expect(visit.page.get_by_role("alert")).to_contain_text("ファイルではありません")
    expect(visit.page.locator(".conversations")).to_contain_text("ここに会話が並びます")


def test_messages_of_an_agent_are_imported_with_calls_and_results(
    visit: ChatVisit, server: PageServer, tmp_path: Path
) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "東京"}'}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "短く。"}]},
        {"role": "user", "content": [{"type": "text", "text": "東京の天気は？"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "晴れ、7 度"},
        {"role": "assistant", "content": "晴れです。"},
        {"role": "user", "content": "武器の作り方は？"},
        {"role": "assistant", "content": None, "refusal": "お答えできません。"},
    ]
    file = tmp_path / "messages.json"
    file.write_text(json.dumps({"messages": messages}))
    visit.page.get_by_role("button", name="設定").click()
    visit.page.locator("dialog input[type=file]").set_input_files(file)
    visit.answered("お答えできません。")
    expect(visit.questions.locator(".words").first).to_have_text("東京の天気は？\n[image_url]")
    fold = visit.answers.first.locator(".fold.call")
    expect(fold.locator("summary")).to_contain_text("weather")
    expect(fold.get_by_text("晴れ、7 度")).to_be_hidden()
    fold.locator("summary").click()
    expect(fold.locator("pre")).to_have_text([re.compile("東京"), "晴れ、7 度"])
    visit.ask("では明日は？")
    visit.answered("はい、そうです。")
    said = [(message["role"], message["content"]) for message in server.asked[0]["messages"]]
    assert said[0] == ("system", "短く。")
    assert said[-1] == ("user", "では明日は？")


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("**太字**と `print(1)` の違いは？", "太字と print(1) の違いは？"),
        ("# 見出し\n[リンク](https://example.com/)を\n直して", "見出し リンクを 直して"),
        ("```python\nprint(1)\n```\nこれは何？", "print(1) これは何？"),
        ("2 * 3 * 4 < 30 ですか？", "2 * 3 * 4 < 30 ですか？"),
        ("---", "---"),
    ],
)
def test_a_title_has_the_plain_words_of_the_question(visit: ChatVisit, question: str, title: str) -> None:
    visit.ask(question)
    expect(visit.page.locator(".conversations .title")).to_have_text(title)


def test_what_was_wrong_with_one_file_is_not_said_of_the_next(visit: ChatVisit, tmp_path: Path) -> None:
    alert = visit.page.get_by_role("alert")
    for name, text in (("bad", "no JSON"), ("good", '[{"role": "user", "content": "一"}]')):
        expect(alert).to_have_count(int(name == "good"))
        (tmp_path / name).write_text(text)
        visit.page.get_by_role("button", name="設定").click()
        visit.page.locator("dialog input[type=file]").set_input_files(tmp_path / name)
        expect(alert).to_have_count(int(name == "bad"))


def test_history_is_kept_searched_and_deleted(visit: ChatVisit, server: PageServer) -> None:
    for question in ("富士山の高さは？", "琵琶湖の広さは？"):
        visit.page.get_by_role("button", name="新しい会話").first.click()
        expect(visit.questions).to_have_count(0)
        visit.ask(question)
        visit.answered("はい、そうです。")
    titles = visit.page.locator(".conversations .title")
    expect(titles).to_have_text(["琵琶湖の広さは？", "富士山の高さは？"])
    visit.page.get_by_label("会話を検索").fill("ふじ")
    expect(titles).to_have_count(0)
    visit.page.get_by_label("会話を検索").fill("富士")
    expect(titles).to_have_text(["富士山の高さは？"])
    titles.first.click()
    expect(visit.questions.locator(".words")).to_have_text("富士山の高さは？")
    visit.page.reload()
    visit.ready().answered("はい、そうです。")
    visit.page.get_by_role("button", name="「富士山の高さは？」を削除").click()
    expect(titles).to_have_text(["琵琶湖の広さは？"])
    visit.press("元に戻す")
    expect(titles).to_have_text(["琵琶湖の広さは？", "富士山の高さは？"])


def test_tabs_see_each_other_and_lose_nothing(browser: Any, server: PageServer) -> None:
    first = ChatVisit(browser, server).ready()
    first.ask("一")
    first.answered("はい、そうです。")
    second = ChatVisit(browser, server, context=first.context).ready()
    second.page.locator(".conversations .title").click()
    second.answered("はい、そうです。")
    server.answers += [[chunk({"content": "甲"}), WAIT, *ending()], streamed("乙")]
    first.ask("二")
    expect(first.answers.last.locator(".words")).to_have_text("甲")
    expect(second.questions).to_have_count(2)
    expect(second.answers.last).to_contain_text("別のタブで回答中です。")
    second.questions.first.get_by_role("button", name="質問を編集").click()
    second.page.get_by_role("textbox", name="質問を編集").fill("壱")
    second.press("質問し直す")
    second.answered("乙")
    server.gate.set()
    first.page.wait_for_timeout(300)
    second.page.reload()
    second.ready().answered("乙")
    second.questions.first.get_by_role("button", name="前の版").click()
    second.answered("甲")
    second.page.get_by_role("button", name="「一」を削除").click()
    expect(first.questions, "what another tab deleted is gone here").to_have_count(0)
    assert first.trouble + second.trouble == []
    first.context.close()


def test_two_tabs_at_one_conversation_ask_what_was_typed_in_each(browser: Any, server: PageServer) -> None:
    first = ChatVisit(browser, server).ready()
    first.ask("一")
    first.answered("はい、そうです。")
    second = ChatVisit(browser, server, context=first.context).ready()
    second.page.locator(".conversations .title").click()
    second.answered("はい、そうです。")
    first.field.fill("甲")
    expect(second.field, "a draft is there in each tab").to_have_value("甲")
    second.field.fill("乙")
    second.page.wait_for_timeout(300)
    expect(first.field).to_have_value("甲")
    second.field.press("Enter")
    expect(second.questions).to_have_count(2)
    expect(first.questions).to_have_count(2)
    expect(first.field, "and what another tab sends takes nothing away").to_have_value("甲")
    expect(second.field).to_have_value("")
    first.context.close()


def test_tabs_that_ask_at_once_stay_each_at_its_own_question(browser: Any, server: PageServer) -> None:
    """What tabs tell each other is held back until both have asked."""
    first = ChatVisit(browser, server).ready()
    first.ask("一")
    first.answered("はい、そうです。")
    second = ChatVisit(browser, server, context=first.context).ready()
    second.page.locator(".conversations .title").click()
    second.answered("はい、そうです。")
    tabs = ((first, "甲"), (second, "乙"))
    for tab, _ in tabs:
        tab.page.evaluate("""() => {
          window.held = [];
          window.tell = BroadcastChannel.prototype.postMessage;
          BroadcastChannel.prototype.postMessage = function (data) { held.push([this, data]); };
        }""")
    for tab, question in tabs:
        server.answers.append(streamed(f"{question}の答え"))
        tab.ask(question)
        tab.answered(f"{question}の答え")
    for tab, _ in tabs:
        tab.page.evaluate("() => held.forEach(([channel, data]) => tell.call(channel, data))")
    for tab, question in tabs:
        expect(tab.questions.last).to_contain_text("/2")
        expect(tab.questions.last.locator(".words")).to_have_text(question)
        tab.answered(f"{question}の答え")
    first.context.close()
