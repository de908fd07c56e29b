"""Conversations that the browser keeps: history, files, and several tabs at once."""

from __future__ import annotations

import json
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
    ],
)
def test_a_file_that_holds_no_conversation_is_told_of(visit: ChatVisit, tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    visit.page.get_by_role("button", name="設定").click()
    visit.page.locator("dialog input[type=file]").set_input_files(file)
    expect(visit.page.get_by_role("alert")).to_contain_text("ファイルではありません")
    expect(visit.page.locator(".conversations")).to_contain_text("ここに会話が並びます")


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
