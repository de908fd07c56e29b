"""A visit to the chat page: what a user does there, and everything that the page complained of."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, expect

from page_server import PageServer

LOAD_ERROR = re.compile(r"Failed to load resource")  # what the browser writes of any refused request


class ChatVisit:
    """One tab at the page of ``server``, or of a URL, in a ``context`` of its own unless another visit's is given."""

    def __init__(self, browser: Any, server: PageServer | str, context: Any = None, **options: Any) -> None:
        self.context = context or browser.new_context(**{"locale": "ja-JP"} | options)
        self.page = self.context.new_page()
        self.trouble: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: LOAD_ERROR.search(message.text) or self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.trouble.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(f"{server if isinstance(server, str) else server.url + server.prefix}/")
        self.field: Locator = self.page.locator("#question")
        self.answers: Locator = self.page.locator(".message.assistant")
        self.questions: Locator = self.page.locator(".message.user")

    def ready(self) -> ChatVisit:
        expect(self.page.locator("body.ready")).to_have_count(1)
        return self

    def ask(self, text: str) -> None:
        """Send a question; it stands on the page, with its answer begun, when this returns."""
        before = self.questions.count()
        self.field.fill(text)
        self.field.press("Enter")
        expect(self.questions).to_have_count(before + 1)

    def answered(self, text: str, place: int = -1) -> Locator:
        """The answer at ``place``, once it has ended with these words."""
        answer = self.answers.nth(place)
        expect(answer.locator(".words")).to_have_text(text)
        expect(answer).not_to_have_class(re.compile("running"))
        return answer

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).last.click()

    def words(self, key: str, values: dict[str, Any] | None = None) -> str:
        """What the page says of ``key``."""
        script = "([key, values]) => import('./page/words.js').then(({ say }) => say(key, values))"
        return str(self.page.evaluate(script, [key, values or {}]))
