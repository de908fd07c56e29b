"""A team's model server: it answers each question as scripted, whole or streamed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from load_server import stream
from served import Served

CHECK = ""  # the purpose of who only looks whether it answers


class TeamServer(Served):
    """It finds a question of ``answers`` in what it is asked. Its attributes change what it does."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []  # purpose, question
        self.models = ["書生"]
        self.key = ""  # that it wants
        self.open_list = False  # the models without a key
        self.streams = self.counts = True
        self.refuses: dict[str, int] = {}  # purpose -> status
        self.hangs_after: dict[str, int] = {}  # purpose -> answers
        super().__init__()

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/chat/completions", self._chat)]

    def count(self, purpose: str) -> int:
        return sum(each == purpose for each, _ in self.asked)

    async def _models(self, request: web.Request) -> web.Response:
        if not self.open_list and self._is_stranger(request):
            return _refused(401)
        return web.json_response({"object": "list", "data": [{"id": name} for name in self.models]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body, purpose = await request.json(), request.headers.get("x-shosei-purpose", CHECK)
        words = body["messages"][-1]["content"]
        if self._is_stranger(request):
            return _refused(401)
        if body["model"] not in self.models:
            return _refused(404)
        if purpose in self.refuses or (body.get("stream") and not self.streams):
            return _refused(self.refuses.get(purpose, 400))
        if self.count(purpose) >= self.hangs_after.get(purpose, 1 << 30):
            await asyncio.sleep(1000)
        question = next(question for question in self.answers if question in words)
        self.asked.append((purpose, question))
        return await (self._streamed if body.get("stream") else self._whole)(request, self.answers[question])

    async def _whole(self, _request: web.Request, answer: str) -> web.StreamResponse:
        message = {"role": "assistant", "content": answer}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}], **self._usage(answer)})

    async def _streamed(self, request: web.Request, answer: str) -> web.StreamResponse:
        chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": each}}]} for each in answer]
        chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
        chunks += [{"choices": [], **self._usage(answer)}] if self.counts else []
        parts = [b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks]
        return await stream(request, *parts, b"data: [DONE]\n\n")

    def _usage(self, answer: str) -> dict[str, Any]:
        usage = {"prompt_tokens": 9, "completion_tokens": len(answer), "total_tokens": 9 + len(answer)}
        return {"usage": usage} if self.counts else {}

    def _is_stranger(self, request: web.Request) -> bool:
        return bool(self.key) and request.headers.get("Authorization") != f"Bearer {self.key}"


def _refused(status: int) -> web.Response:
    return web.json_response({"error": {"message": f"refused with {status}", "code": None}}, status=status)
