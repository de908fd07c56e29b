"""A scripted judge behind OpenAI's API: what it says is a function of the text that it is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from served import Served

Script = Callable[["Shown", int], str | int]  # what is shown, and how often it was shown before, to words or a status


class Shown:
    """The parts of a request, by the marks that separate them from what is asked."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.system, self.user = (message["content"] for message in body["messages"])
        self.seed, self.temperature = body.get("seed"), body.get("temperature")
        self.nonce = re.findall(r"<part (\w+)>", self.system)[0]
        self.question, self.answer = self.part("question"), self.part("answer")

    def part(self, name: str) -> str:
        found = re.findall(rf"^<{name} {self.nonce}>\n(.*?)\n</{name} {self.nonce}>$", self.user, re.M | re.S)
        return found[0] if found else ""


class JudgeServer(Served):
    """A server in a thread; it keeps what it was shown."""

    def __init__(self, script: Script, name: str = "judge") -> None:
        self.script, self.name, self.shown = script, name, list[Shown]()
        super().__init__()

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/chat/completions", self._chat)]

    async def _chat(self, request: web.Request) -> web.Response:
        shown = Shown(await request.json())
        before = sum(shown.user == each.user for each in self.shown)
        self.shown.append(shown)
        said = self.script(shown, before)
        if isinstance(said, int):
            return web.json_response({"error": {"message": "no"}}, status=said)
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        return web.json_response({"id": f"chat-{len(self.shown)}", "choices": [choice], "usage": usage})

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.name, "object": "model"}]})
