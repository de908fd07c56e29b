"""The chat page in front of somebody's server: ``python bench/page.py URL``, with llama.cpp's, vLLM's or any other's.

A gateway hosts the page before the server, and a real Chromium does what users do. A table says what went well and, of
the rest, what the page said; the exit code is then 1. A server need not know how to go on with an answer, or JSON mode.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Error, Page, expect, sync_playwright

PATIENCE_MS = 120_000
QUESTION = "日本の四季について、長めに説明してください。"


class Chat:
    """A tab at the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.answer = page.locator(".message.assistant").last
        self.words = self.answer.locator(".words")

    def ask(self, text: str = QUESTION) -> None:
        asked = self.page.locator(".message.user")
        before = asked.count()
        self.page.locator("#question").fill(text)
        self.page.locator("#question").press("Enter")
        expect(asked).to_have_count(before + 1)
        self.page.wait_for_timeout(100)  # for the answer's place below it

    def ended(self) -> str:
        """What is said below the last answer, once it has ended with words; raises where it has none."""
        self.page.wait_for_timeout(300)  # for it to begin
        expect(self.page.locator(".message.running")).to_have_count(0, timeout=PATIENCE_MS)
        expect(self.answer.locator(".figures"), self.answer.locator(".state").inner_text()).to_be_visible()
        return self.answer.locator(".figures").inner_text()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).last.click()

    def settings(self, act: Callable[[Page], None]) -> None:
        self.press("Settings")
        act(self.page)
        self.page.keyboard.press("Escape")


def answers(chat: Chat) -> str:
    chat.ask()
    return chat.ended()


def stops(chat: Chat) -> str:
    chat.ask()
    expect(chat.words).not_to_be_empty(timeout=PATIENCE_MS)
    if not chat.page.get_by_role("button", name="Stop", exact=True).is_visible():
        return f"not tried: the answer ended at once, {chat.ended()}"
    chat.press("Stop")
    expect(chat.answer.locator(".state")).to_contain_text("Stopped")
    return f"after {len(chat.words.inner_text())} characters"


def goes_on(chat: Chat) -> str:
    before = chat.words.inner_text()
    if not chat.answer.get_by_role("button", name="Continue", exact=True).is_visible():
        return "not tried: the answer is whole"
    chat.press("Continue")
    chat.ended()
    assert chat.words.inner_text().startswith(before), "the answer began anew"
    return f"{len(before)} characters became {len(chat.words.inner_text())}"


def answers_again(chat: Chat) -> str:
    chat.press("Answer again")
    chat.ended()
    return f"version {chat.answer.locator('.count').inner_text()}"


def answers_in_json(chat: Chat) -> str:
    chat.settings(lambda page: page.get_by_label("JSON mode").check())
    chat.ask("東京の人口と面積を JSON で答えてください。")
    chat.ended()
    text = chat.words.inner_text()
    if "limit of tokens" in chat.answer.locator(".state").inner_text():
        return f"cut after {len(text)} characters by the limit of tokens"
    json.loads(text.removeprefix("```json").removesuffix("```"))
    return f"an object of {len(text)} characters"


STEPS: dict[str, Callable[[Chat], str]] = {
    "answers": answers,
    "stops": stops,
    "goes on": goes_on,
    "answers again": answers_again,
    "answers in JSON": answers_in_json,
}


def tried(name: str, chat: Chat) -> bool:
    """Do one step and print what came of it."""
    try:
        print(f"{name:16} ok      {STEPS[name](chat)}", flush=True)
    except (AssertionError, Error, ValueError) as error:
        said = chat.answer.locator(".state").inner_text()
        print(f"{name:16} failed  {said or 'the page'}: {str(error).splitlines()[0]}", flush=True)
        return False
    return True


def visited(browser: Any, url: str) -> bool:
    page = browser.new_page(locale="en-GB")
    page.goto(f"{url}/")
    expect(page.locator("body.ready")).to_have_count(1)
    chat = Chat(page)
    chat.settings(lambda page: page.get_by_label("Most tokens of an answer").fill("200"))
    outcomes = [tried(name, chat) for name in STEPS]
    return all(outcomes)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("url", help="The server, such as http://127.0.0.1:8080.")
    given = options.parse_args()
    command = [sys.executable, "-m", "shosei", "gateway", "--upstream", given.url, "--page", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway, sync_playwright() as playwright:
        assert gateway.stdout
        url = json.loads(gateway.stdout.readline())["url"]
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        went_well = visited(browser, url)
        browser.close()
        gateway.terminate()
    return 0 if went_well else 1


if __name__ == "__main__":
    sys.exit(main())
