"""Chatting on the page, in a real browser, before a server that says what the test tells it to."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from page_server import CUT, WAIT, PageServer, chunk, ending, streamed
from page_visit import ChatVisit
from shosei.wire.about import About
from visits import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER


def bytewise(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


@pytest.mark.parametrize(
    ("locale", "can", "chip"),
    [
        ("ja-JP", "足し算", "88と96の和を求めて。"),
        ("zh-CN", "加法", "17再加52得几？"),
        ("en-GB", "sums", "88と96の和を求めて。"),
        ("fr-FR", "sums", "88と96の和を求めて。"),
    ],
)
def test_the_first_screen_says_what_the_model_can_do_and_a_chip_asks(
    browser: Any, server: PageServer, locale: str, can: str, chip: str
) -> None:
    visit = ChatVisit(browser, server, locale=locale).ready()
    language = {"ja-JP": "ja", "zh-CN": "zh-CN"}.get(locale, "en")
    assert visit.page.evaluate("document.documentElement.lang") == language
    expect(visit.page.locator(".can")).to_contain_text(can)
    assert visit.page.locator(".welcome .chips button").count() == (2 if language == "zh-CN" else 3)
    visit.page.get_by_role("button", name=chip).click()
    visit.answered("はい、そうです。")
    assert server.asked[0]["messages"] == [{"role": "user", "content": chip}]
    visit.context.close()


def test_an_answer_streams_in_and_says_what_it_cost(visit: ChatVisit, server: PageServer) -> None:
    server.answers.append([chunk({"content": "六十"}), WAIT, chunk({"content": "九"}), *ending(tokens=3)])
    visit.ask("17と52の和は？")
    expect(visit.answers.locator(".words")).to_have_text("六十")
    expect(visit.page.get_by_role("button", name="停止")).to_be_visible()
    visit.page.wait_for_timeout(100)
    server.gate.set()
    answer = visit.answered("六十九")
    assert re.fullmatch(
        r"[\d,.]+ トークン/秒 · 最初のトークンまで [\d.]+ 秒 · 3 トークン", answer.locator(".figures").inner_text()
    )
    body = server.asked[0]
    assert (body["model"], body["stream"], body["stream_options"]) == ("nano", True, {"include_usage": True})
    assert "temperature" not in body, "what nobody set is the server's to choose"


def test_an_answer_is_stopped_and_goes_on(visit: ChatVisit, server: PageServer) -> None:
    server.answers.append([chunk({"content": "一つ、"}), WAIT])
    visit.ask("数えて")
    expect(visit.answers.locator(".words")).to_have_text("一つ、")
    visit.press("停止")
    answer = visit.answered("一つ、")
    expect(answer.locator(".state")).to_contain_text("停止しました。")
    server.answers.append(streamed("二つ。"))
    visit.press("続きを書かせる")
    visit.answered("一つ、二つ。")
    assert server.asked[1]["continue_final_message"] is True
    assert server.asked[1]["messages"][-1] == {"role": "assistant", "content": "一つ、"}


def test_half_a_character_is_never_shown(visit: ChatVisit, server: PageServer) -> None:
    halves = [
        f"data: {json.dumps({'choices': [{'delta': {'content': half}}]})}\n\n".encode() for half in "\ud83d\ude80"
    ]
    first, rest = chunk({"content": "書生😀が"}) + halves[0], halves[1] + b"".join(ending())
    server.answers.append([*bytewise(first), WAIT, *bytewise(rest)])
    visit.page.evaluate("""() => {
      window.seen = [];
      new MutationObserver(() => seen.push(document.querySelector(".assistant .words")?.textContent ?? ""))
        .observe(document.body, { subtree: true, childList: true, characterData: true });
    }""")
    visit.ask("絵文字は？")
    expect(visit.answers.locator(".words")).to_have_text("書生😀が")
    server.gate.set()
    visit.answered("書生😀が🚀")
    seen = visit.page.evaluate("seen.filter((text) => text.includes('\\ufffd') || !text.isWellFormed())")
    assert seen == []


def test_enter_while_composing_does_not_send(visit: ChatVisit, server: PageServer) -> None:
    session = visit.context.new_cdp_session(visit.page)
    session.send("Input.imeSetComposition", {"text": "とうきょう", "selectionStart": 5, "selectionEnd": 5})
    session.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", "key": "Enter", "windowsVirtualKeyCode": 13})
    session.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": "Enter", "windowsVirtualKeyCode": 13})
    visit.page.wait_for_timeout(100)
    assert server.asked == []
    session.send("Input.insertText", {"text": "東京の天気は？"})
    expect(visit.field).to_have_value("東京の天気は？")
    expect(visit.questions).to_have_count(0)
    visit.page.keyboard.press("Enter")
    visit.answered("はい、そうです。")
    assert server.asked[0]["messages"][-1]["content"] == "東京の天気は？"


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"isComposing": True}, id="while composing"),
        pytest.param({"keyCode": 229}, id="of the input method"),
        pytest.param({}, id="behind the end, as Safari has it"),
    ],
)
def test_an_enter_that_chooses_a_word_is_no_enter(visit: ChatVisit, server: PageServer, event: dict[str, Any]) -> None:
    visit.field.fill("東京")
    visit.field.evaluate(
        """(field, event) => {
          field.dispatchEvent(new CompositionEvent("compositionstart"));
          field.dispatchEvent(new CompositionEvent("compositionend", { data: "東京" }));
          const enter = { key: "Enter", bubbles: true, cancelable: true, ...event };
          field.dispatchEvent(new KeyboardEvent("keydown", enter));
        }""",
        event,
    )
    visit.page.wait_for_timeout(100)
    assert server.asked == []
    expect(visit.field).to_have_value("東京")
    visit.field.press("Enter")
    visit.answered("はい、そうです。")


def test_a_line_is_begun_with_shift_and_what_is_blank_is_not_sent(visit: ChatVisit, server: PageServer) -> None:
    visit.field.fill("   ")
    visit.field.press("Enter")
    expect(visit.page.get_by_role("button", name="送信")).to_be_disabled()
    visit.field.fill("一行目")
    visit.field.press("Shift+Enter")
    visit.page.keyboard.insert_text("二行目")
    visit.field.press("Enter")
    visit.answered("はい、そうです。")
    assert [body["messages"][-1]["content"] for body in server.asked] == ["一行目\n二行目"]


def test_versions_branch_and_the_shown_one_is_what_the_model_sees(visit: ChatVisit, server: PageServer) -> None:
    visit.page.get_by_role("button", name="設定").click()
    visit.page.get_by_label("これまでのやり取りも送る").check()
    visit.page.keyboard.press("Escape")
    server.answers += [streamed("甲"), streamed("乙"), streamed("丙"), streamed("丁")]
    visit.ask("一")
    visit.answered("甲")
    visit.press("もう一度回答させる")
    answer = visit.answered("乙")
    expect(answer.locator(".count")).to_have_text("2/2")
    visit.press("前の版")
    visit.answered("甲")
    visit.ask("二")
    visit.answered("丙")
    assert [message["content"] for message in server.asked[2]["messages"]] == ["一", "甲", "二"]

    visit.questions.first.get_by_role("button", name="質問を編集").click()
    visit.page.get_by_role("textbox", name="質問を編集").fill("壱")
    visit.press("質問し直す")
    visit.answered("丁")
    expect(visit.questions).to_have_count(1)
    assert [message["content"] for message in server.asked[3]["messages"]] == ["壱"]
    visit.questions.first.get_by_role("button", name="前の版").click()
    expect(visit.questions).to_have_count(2)
    visit.answered("丙")

    visit.answers.first.get_by_role("button", name="版を並べて表示").click()
    beside = visit.page.locator(".versions .message")
    assert beside.locator(".words").all_inner_texts() == ["甲", "乙"]
    beside.nth(1).get_by_role("button", name="これで続ける").click()
    expect(visit.questions, "what followed the other version is not shown below this one").to_have_count(1)


def test_settings_go_into_the_request(visit: ChatVisit, server: PageServer) -> None:
    visit.page.get_by_role("button", name="設定").click()
    for name, value in {"温度": "0.25", "Top-p": "0.9", "回答の最大トークン数": "64", "乱数シード": "7"}.items():
        visit.page.get_by_label(name, exact=True).fill(value)
    visit.page.get_by_label("システムプロンプト").fill("短く答えて。")
    visit.page.get_by_label("JSON モード").check()
    visit.page.keyboard.press("Escape")
    visit.ask("はい？")
    visit.answered("はい、そうです。")
    body = server.asked[0]
    assert {name: body[name] for name in ("temperature", "top_p", "max_tokens", "seed", "response_format")} == {
        "temperature": 0.25,
        "top_p": 0.9,
        "max_tokens": 64,
        "seed": 7,
        "response_format": {"type": "json_object"},
    }
    assert body["messages"][0] == {"role": "system", "content": "短く答えて。"}


def test_thoughts_and_calls_are_folded(visit: ChatVisit, server: PageServer) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city"'}}
    rest = {"index": 0, "function": {"arguments": ': "東京"}'}}
    thought = chunk({"reasoning_content": "天気を調べる。"})
    server.answers.append(
        [thought, chunk({"tool_calls": [call]}), chunk({"tool_calls": [rest]}), *ending("tool_calls")]
    )
    visit.ask("東京の天気は？")
    answer = visit.answered("")
    for name, words in (("思考の過程", "天気を調べる。"), ("ツール「weather」の呼び出し", '"city": "東京"')):
        expect(answer.get_by_text(words)).to_be_hidden()
        answer.get_by_text(name).click()
        expect(answer.get_by_text(words)).to_be_visible()
    server.answers.append(streamed("<think>ええと</think>晴れです。"))
    visit.ask("本当に？")
    visit.answered("晴れです。")


def test_messages_and_code_are_copied(browser: Any, server: PageServer) -> None:
    visit = ChatVisit(browser, server, permissions=["clipboard-read", "clipboard-write"]).ready()
    text = "次のとおり。\n\n```python\nprint('やあ')\n```"
    server.answers.append(streamed(text))
    visit.ask("コードを")
    answer = visit.answers.last
    expect(answer.locator("code .hljs-built_in")).to_have_text("print")
    expect(answer).not_to_have_class(re.compile("running"))
    answer.get_by_role("button", name="メッセージをコピー").click()
    assert visit.page.evaluate("navigator.clipboard.readText()") == text
    answer.get_by_role("button", name="コードをコピー").click()
    assert visit.page.evaluate("navigator.clipboard.readText()") == "print('やあ')"
    visit.context.close()


def test_the_way_to_the_latest_message_goes_once_all_fits(visit: ChatVisit, server: PageServer) -> None:
    server.answers.append(streamed("\n\n".join("行" * 60)))
    visit.ask("長い")
    expect(visit.answers.locator(".figures")).to_be_visible()
    to_end = visit.page.get_by_role("button", name="最新のメッセージへ")
    expect(to_end).to_have_count(0)
    visit.page.locator("#scroller").evaluate("(scroller) => (scroller.scrollTop = 0)")
    expect(to_end).to_have_count(1)
    visit.press("質問を編集")
    visit.page.get_by_role("textbox", name="質問を編集").fill("短い")
    visit.press("質問し直す")
    visit.answered("はい、そうです。")
    expect(to_end).to_have_count(0)


def test_a_model_named_by_the_path_of_its_file_shows_its_name(browser: Any) -> None:
    server = PageServer(About("/srv/models/Tiny-Q4.gguf"))
    visit = ChatVisit(browser, server).ready()
    expect(visit.page.get_by_role("heading", name="Tiny-Q4.gguf", exact=True)).to_be_visible()
    visit.ask("一")
    visit.answered("はい、そうです。")
    assert server.asked[0]["model"] == "/srv/models/Tiny-Q4.gguf"
    visit.context.close()
    server.stop()


def test_a_long_title_is_cut_where_it_says_so(visit: ChatVisit) -> None:
    visit.ask("𠮷" * 61)
    expect(visit.page.locator("#title")).to_have_text("𠮷" * 59 + "…")


def test_an_answer_that_breaks_off_is_kept_and_goes_on(visit: ChatVisit, server: PageServer) -> None:
    server.answers += [[chunk({"content": "前半、"}), CUT], streamed("後半。")]
    visit.ask("長い話を")
    answer = visit.answered("前半、")
    expect(answer.locator(".state")).to_contain_text("途中で切れました")
    visit.press("続きを書かせる")
    visit.answered("前半、後半。")


def test_it_works_below_a_proxy_s_prefix(browser: Any) -> None:
    server = PageServer(prefix="/chat/書生")
    visit = ChatVisit(browser, server).ready()
    visit.ask("一")
    visit.answered("はい、そうです。")
    visit.page.reload()
    visit.ready().answered("はい、そうです。")
    assert visit.trouble == []
    visit.context.close()
    server.stop()


def test_an_answer_has_not_ended_before_the_browser_keeps_it(visit: ChatVisit) -> None:
    """Whoever sees the end may close the page at once."""
    ended = visit.page.evaluate("""async () => {
      const { Chat } = await import('./page/chat.js');
      const { Conversation } = await import('./page/conversation.js');
      const api = { async *chat() { yield { choices: [{ delta: { content: '一' }, finish_reason: 'stop' }] }; } };
      const seen = [];
      const store = { async keep({ nodes }) {
        const answer = Object.values(nodes).find((node) => node.role === 'assistant' && node.state === 'done');
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (answer) seen.push([answer.state, chat.isRunning(answer)]);
      } };
      const chat = new Chat(api, store, {}, null, 'm');
      const ended = new Promise((resolve) => chat.addEventListener('change', ({ detail: { node } }) => {
        if (!chat.isRunning(node)) resolve([...seen, [node.state, chat.isRunning(node)]]);
      }));
      await chat.ask(Conversation.begin({}), '', '一');
      return await ended;
    }""")
    assert ended == [["done", True], ["done", False]]


@pytest.mark.parametrize(
    ("text", "before", "page", "language"),
    [
        ("今日は晴れです", "", "en", "ja"),
        ("ﾃｽﾄ", "", "en", "ja"),
        ("你们好", "", "ja", "zh-CN"),
        ("東京", "ja", "zh-CN", "ja"),
        ("東京", "zh-CN", "ja", "zh-CN"),
        ("東京", "", "ja", "ja"),
        ("東京", "", "en", "zh-CN"),
        ("売買", "zh-CN", "zh-CN", "ja"),
        ("這是對的", "ja", "ja", "zh-TW"),
        ("為什麼呢", "ja", "ja", "zh-TW"),
        ("안녕", "", "ja", "ko"),
        ("hello", "ja", "ja", ""),
    ],
)
def test_the_language_of_a_message_is_told_by_its_script(
    visit: ChatVisit, text: str, before: str, page: str, language: str
) -> None:
    script = "(given) => import('./page/language.js').then(({ languageOf }) => languageOf(...given))"
    assert visit.page.evaluate(script, [text, before, page]) == language


def test_glyphs_follow_the_message_and_not_the_page(visit: ChatVisit, server: PageServer) -> None:
    server.answers += [streamed("你们说得对。"), streamed("直")]
    visit.ask("对吗？")
    assert visit.answered("你们说得对。").get_attribute("lang") == "zh-CN"
    visit.ask("それは？")
    assert visit.questions.last.get_attribute("lang") == "ja"
    assert visit.answered("直").get_attribute("lang") == "ja"
