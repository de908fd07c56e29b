"""What a model, or a file, writes can do nothing on the page; and the page is one that everybody can use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from page_server import PageServer, chunk, ending, streamed
from page_visit import ChatVisit
from visits import CONTRAST, NEEDS_BROWSER

pytestmark = NEEDS_BROWSER
AXE = os.environ.get("SHOSEI_AXE", "")  # the path of axe-core's axe.min.js

HOSTILE = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    "<svg onload='window.hit = 1'><script>window.hit = 1</script></svg>",
    "<iframe srcdoc='<script>parent.hit = 1</script>'></iframe>",
    "<a href='javascript:window.hit = 1'>x</a>",
    "[x](javascript:window.hit=1)",
    "[x](JaVaScRiPt&colon;window.hit=1)",
    "[x](data:text/html;base64,PHNjcmlwdD5wYXJlbnQuaGl0PTE8L3NjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](//evil.example/x)",
    "[x](/v1/models)",
    "![x](https://evil.example/pixel.png)",
    '![x"onerror="window.hit=1](x)',
    '[x](https://a.example/"onmouseover="window.hit=1)',
    "<https://a.example/<script>window.hit=1</script>>",
    "```html\n<img src=x onerror=window.hit=1>\n```",
    '```"><img src=x onerror=window.hit=1>\ncode\n```',
    "`<img src=x onerror=window.hit=1>`",
    "<style>* { display: none }</style>",
    "<base href='https://evil.example/'>",
    "<form action='https://evil.example/'><input name=q><button>Send</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<object data='https://evil.example/'></object><embed src='https://evil.example/'>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.hit=1>",
    "<div id=question name=body>clobbers</div>",
    "<p style='position:fixed;inset:0;background:red'>covers</p>",
    "| a |\n|---|\n| <img src=x onerror=window.hit=1> |",
    "# <svg/onload=window.hit=1>",
    "- [x] <input type=image src=x onerror=window.hit=1>",
    "[x]: javascript:window.hit=1\n\n[x]",
    "&lt;script&gt;window.hit=1&lt;/script&gt;",
    "**<b onclick=window.hit=1>x</b>**は",
]


# What stands in words and is no text, but for the page's own buttons at code.
STRANGE = """(all) => all.flatMap((words) => [...words.querySelectorAll("*")])
  .filter((node) => !node.closest(".code > .icon-button"))
  .filter((node) => /^(script|style|iframe|img|form|object|embed|link|meta|base|svg|button)$/i.test(node.tagName)
    || [...node.attributes].some(({ name }) => /^on|^style$|^id$|^name$|^src/.test(name)))
  .map((node) => node.outerHTML)"""


def check_harmless(visit: ChatVisit, server: PageServer) -> None:
    page = visit.page
    visit.page.wait_for_timeout(200)
    assert page.evaluate("window.hit") is None
    assert page.locator(".assistant .words").evaluate_all(STRANGE) == []
    links = page.locator(".assistant .words a").evaluate_all(
        "(all) => all.map(({ href, rel, target }) => [href, rel, target])"
    )
    assert all(href.startswith("https://a.example/") for href, *_ in links)
    assert all((rel, target) == ("noopener noreferrer nofollow", "_blank") for _, rel, target in links)
    assert all(url.startswith((server.url, "data:")) for url in visit.requests)
    assert visit.trouble == []
    assert page.url.startswith(server.url)


def test_whatever_a_model_writes_is_text(browser: Any, server: PageServer) -> None:
    visit = ChatVisit(browser, server).ready()
    server.answers.append(streamed("\n\n".join(HOSTILE)))
    visit.ask("<img src=x onerror='window.hit = 1'>")
    expect(visit.answers.locator(".figures")).to_be_visible(timeout=30_000)
    check_harmless(visit, server)
    words = visit.answers.locator(".words").inner_text()
    for text in ("<script>window.hit = 1</script>", "<form action=", "<img src=x onerror='window.hit = 1'>"):
        assert text in words, "it is shown, as the model wrote it"
    visit.context.close()


def test_so_is_what_a_file_holds(browser: Any, server: PageServer, tmp_path: Path) -> None:
    nodes = [
        {"id": "__proto__", "parent": "", "role": "user", "content": HOSTILE[1], "state": "<b>"},
        {"id": "constructor", "parent": "__proto__", "role": "assistant", "content": "\n\n".join(HOSTILE)}
        | {
            "thoughts": HOSTILE[0],
            "calls": [{"name": HOSTILE[1], "arguments": HOSTILE[2]}, None, 7],
            "answer": {"a": 1},
        }
        | {
            "problem": {"kind": HOSTILE[1]},
            "rating": {"thumbs": "up", "saved": True},
            "figures": {"tokens": HOSTILE[1]},
        },
    ]
    text = {"shosei_conversation": 1, "title": HOSTILE[1], "settings": {"system": 7, "x": HOSTILE[1]}, "nodes": nodes}
    file = tmp_path / "hostile.json"
    file.write_text(json.dumps(text | {"chosen": {"__proto__": "constructor"}}), encoding="utf-8")
    visit = ChatVisit(browser, server).ready()
    visit.page.get_by_role("button", name="設定").click()
    visit.page.locator("dialog input[type=file]").set_input_files(file)
    expect(visit.answers).to_have_count(1)
    check_harmless(visit, server)
    visit.context.close()


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**「強調」**は", "<p><strong>「強調」</strong>は</p>"),
        ("これは**重要。**です", "<p>これは<strong>重要。</strong>です</p>"),
        ("2 ** 3 ** 4", "<p>2 ** 3 ** 4</p>"),
        ("一行目\n二行目", "<p>一行目<br>二行目</p>"),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>"),
        ("|a|b|\n|-:|-|\n|1|2<br>3|", '<td align="right">1</td>\n<td>2<br>3</td>'),
        ("https://a.example/x。次", ">https://a.example/x</a>。次</p>"),
        ("1. 一\n2. 二", "<ol>\n<li>一</li>\n<li>二</li>\n</ol>"),
        ('{\n  "甲": [\n    1\n  ]\n}\n\n以上', '<span class="hljs-number">1</span>\n  <span'),
        ("[\n[1](https://a.example/)", '<pre lang="" translate="no" tabindex="0">'),
    ],
)
def test_markdown_is_read_as_chinese_and_japanese_are_written(
    browser: Any, server: PageServer, markdown: str, html: str
) -> None:
    visit = ChatVisit(browser, server).ready()
    server.answers.append(streamed(markdown))
    visit.ask("一")
    expect(visit.answers.locator(".figures")).to_be_visible()
    assert html in visit.answers.locator(".words").inner_html()
    visit.context.close()


def fill(visit: ChatVisit, server: PageServer) -> None:
    """A conversation with everything that a page can hold."""
    text = "**甲**と`乙`：\n\n```python\nprint('一' * 200)  # 長い行\n```\n\n"
    table = "| " + " | ".join("列名" * 3 for _ in range(9)) + " |\n" + "|---" * 9 + "|\n" + "| 値 " * 9 + "|\n\n"
    server.answers.append(streamed(text + table + "https://a.example/" + "x" * 120 + "\n\n- [x] 済\n\n> 引用"))
    visit.ask("質問です。" + "x" * 200)
    expect(visit.answers.locator(".figures")).to_be_visible(timeout=15_000)
    visit.answers.locator(".rating button").first.click()
    expect(visit.answers.locator(".rating-panel")).to_be_visible()
    server.answers.append((400, {"error": {"message": "x" * 200}}, {}))
    visit.ask("二")
    expect(visit.answers.last.locator(".state.bad")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN", "ja-JP"])
def test_it_fits_a_phone_and_text_stands_out(browser: Any, server: PageServer, locale: str, scheme: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    visit = ChatVisit(browser, server, locale=locale, color_scheme=scheme, **phone).ready()

    def check(what: str) -> None:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360, what
        assert visit.page.evaluate(CONTRAST) == [], what

    check("the first screen")
    visit.field.fill("一行目")
    visit.field.press("Enter")
    assert visit.field.input_value() == "一行目\n", "where one types by touch, Enter begins a line"
    visit.field.fill("一")
    visit.page.locator("#composer button[type=submit]").click()
    expect(visit.answers.locator(".figures")).to_be_visible()
    visit.page.evaluate("localStorage.removeItem('shosei.enter')")
    check("an answer")
    visit.page.locator("#menu").click()
    expect(visit.page.locator("#history")).to_be_visible()
    check("the list")
    visit.page.keyboard.press("Escape")
    visit.page.locator("#right button").click()
    expect(visit.page.get_by_role("dialog")).to_be_visible()
    check("the settings")
    visit.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_long_lines_and_wide_tables_push_nothing_aside(browser: Any, server: PageServer, scheme: str) -> None:
    visit = ChatVisit(browser, server, color_scheme=scheme).ready()
    fill(visit, server)
    assert visit.page.evaluate(CONTRAST) == []
    for width in (1280, 390):
        visit.page.set_viewport_size({"width": width, "height": 800})
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        scroller = visit.page.locator("#scroller")
        assert scroller.evaluate("({ scrollWidth, clientWidth }) => scrollWidth - clientWidth") <= 0
    visit.context.close()


def test_everything_is_reached_by_keyboard(browser: Any, server: PageServer) -> None:
    visit = ChatVisit(browser, server).ready()
    visit.ask("一")
    visit.answered("はい、そうです。")
    reached = set()
    for _ in range(40):
        visit.page.keyboard.press("Tab")
        reached.add(
            visit.page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
            )
        )
    for name in ("新しい会話", "会話を検索", "設定", "質問を編集", "もう一度回答させる", "良い回答", "質問を入力"):
        assert name in reached
    visit.page.get_by_role("button", name="良い回答").focus()
    visit.page.keyboard.press("Enter")
    expect(visit.answers.locator(".rating-panel")).to_be_visible()
    expect(visit.page.get_by_role("button", name="良い回答"), "the focus stays").to_be_focused()
    expect(visit.page.locator("#live"), "a screen reader is told the answer once").to_have_text("はい、そうです。")
    visit.context.close()


@pytest.mark.skipif(not AXE, reason="no axe-core: npm pack axe-core, and name its axe.min.js in SHOSEI_AXE")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, server: PageServer, scheme: str) -> None:
    visit = ChatVisit(browser, server, color_scheme=scheme, bypass_csp=True).ready()

    def check() -> None:
        visit.page.evaluate(Path(AXE).read_text(encoding="utf-8"))
        found = visit.page.evaluate("axe.run().then(({ violations }) => violations)")
        told = [(each["id"], each["impact"], [node["html"][:200] for node in each["nodes"]]) for each in found]
        assert told == []

    check()
    fill(visit, server)
    visit.answers.first.get_by_role("button", name="もう一度回答させる").click()
    visit.page.wait_for_timeout(500)
    check()
    visit.page.get_by_role("button", name="設定").click()
    check()
    visit.context.close()


@pytest.mark.parametrize("text", [">" * 4000 + " 底", "- " * 3000 + "底", "[" * 5000 + "*" * 5000, "**甲[" * 2000])
def test_what_nests_without_end_is_shown_and_the_chat_goes_on(browser: Any, server: PageServer, text: str) -> None:
    visit = ChatVisit(browser, server).ready()
    server.answers.append([chunk({"content": text}), *ending()])
    visit.ask("一")
    expect(visit.answers.locator(".figures"), "the answer ends").to_be_visible(timeout=30_000)
    assert visit.answers.locator(".words").inner_text().strip()
    visit.page.reload()
    visit.ready()
    visit.ask("二")
    visit.answered("はい、そうです。")
    assert visit.trouble == []
    visit.context.close()
