"""The page where users meet it: hosted by the verbs, before real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from page_server import WAIT, PageServer, streamed
from page_visit import ChatVisit
from serve_process import make_model, serving
from shosei.log import Rating, Request, read_log
from visits import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER
KEY = "a-key-of-this-gateway"


@contextmanager
def gateway(upstream: str, *arguments: str | Path, **environment: str) -> Iterator[str]:
    """``shosei gateway --page`` before ``upstream``: its URL."""
    command = [sys.executable, "-m", "shosei", "gateway", "--upstream", upstream, "--page", "--port", "0", "--json"]
    with subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_a_gateway_puts_the_page_before_any_server(browser: Any, tmp_path: Path) -> None:
    upstream = PageServer()
    upstream.key = "the-upstream-s-own-key"
    run = tmp_path / "run"
    with gateway(upstream.url, "--run", run, OPENAI_API_KEY=upstream.key, SHOSEI_API_KEY=KEY) as url:
        visit = ChatVisit(browser, url, locale="zh-CN")
        visit.page.get_by_label("API 密钥").last.fill(KEY)
        visit.press("使用密钥")
        visit.ready()
        expect(visit.page.get_by_role("heading", name="書生", exact=True)).to_be_visible()
        expect(visit.page.locator(".kept")).to_contain_text("评价者以密钥的哈希值区分。")
        visit.ask("你好")
        visit.answered("はい、そうです。")
        rated = visit.answers.nth(0)
        rated.locator(".rating button").first.click()
        expect(rated.locator(".rating-status")).to_have_text("已保存")
        assert upstream.key not in visit.page.content()
        with urllib.request.urlopen(f"{url}/page/app.js") as answer:
            assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert visit.trouble == []
        visit.context.close()
    assert upstream.asked[0]["model"] == "書生", "as the upstream names it"
    [request] = read_log(run / "log").of(Request)
    assert (request.status, request.error) == (200, "")
    [rating] = read_log(run / "log").of(Rating)
    assert (rating.value, rating.request) == (1, request.id)
    upstream.stop()


def test_a_server_behind_the_gateway_that_is_gone_is_told_of(browser: Any) -> None:
    upstream = PageServer()
    with gateway(upstream.url) as url:
        visit = ChatVisit(browser, url).ready()
        upstream.stop()
        visit.ask("一")
        expect(visit.answers.locator(".state.bad")).to_have_text(
            "このページの先にあるモデルのサーバーにつながりません。 やり直す"
        )
        visit.context.close()


def test_stop_reaches_a_server_behind_the_gateway_that_has_said_nothing(browser: Any) -> None:
    upstream = PageServer()
    upstream.answers += [[WAIT], streamed("次です。")]
    with gateway(upstream.url) as url:
        visit = ChatVisit(browser, url).ready()
        visit.ask("一")
        until(lambda: len(upstream.asked) == 1)
        visit.press("停止")
        expect(visit.answers.locator(".state")).to_contain_text("停止しました。")
        until(lambda: upstream.left == 1)
        visit.ask("二")
        visit.answered("次です。")
        visit.context.close()
    upstream.stop()


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_our_own_server_takes_questions_and_ratings(browser: Any, tmp_path: Path) -> None:
    """Ratings that were acknowledged outlive the server's kill; those that were not are sent again."""
    run = tmp_path / "run"
    make_model(run / "model", context=512)
    with serving(run, "--run", run) as (server, url):
        port = url.rpartition(":")[2]
        visit = ChatVisit(browser, url).ready()
        visit.page.get_by_role("button", name="設定").click()
        visit.page.get_by_label("温度").fill("0")
        visit.page.get_by_label("回答の最大トークン数").fill("16")
        visit.page.keyboard.press("Escape")
        for place, question in enumerate(("你好", "東京は？")):
            visit.ask(question)
            expect(visit.answers.nth(place).locator(".figures")).to_be_visible(timeout=30_000)
        visit.answers.nth(0).get_by_role("button", name="良い回答").click()
        expect(visit.answers.nth(0).locator(".rating-status")).to_have_text("保存しました")
        for process in (*psutil.Process(server.pid).children(recursive=True), server):
            process.kill()
        server.wait()
        visit.answers.nth(1).get_by_role("button", name="良くない回答").click()
        expect(visit.answers.nth(1).locator(".rating-status")).to_contain_text("まだ保存されていません")
    with serving(run, "--run", run, "--set", f"serve.port={port}"):
        expect(visit.answers.nth(1).locator(".rating-status")).to_have_text("保存しました", timeout=60_000)
        visit.ask("三たび")
        expect(visit.answers.nth(2).locator(".figures")).to_be_visible(timeout=30_000)
        assert visit.trouble == []
        visit.context.close()
    ratings = read_log(run / "log").of(Rating)
    assert [rating.value for rating in ratings] == [1, 0]
    assert len({rating.rater for rating in ratings}) == 1, "the cookie is the same browser's"
