"""A server of known behaviour for the exam's tests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from served import Served
from shosei.wire.suite import Task, write_suite


@dataclass
class Refusal:
    """An answer that is none."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


class Server(Served):
    """An OpenAI-compatible server in a thread. It answers a question by ``answers[question]``: a text, an HTTP status,
    ``cut`` (the connection breaks within the answer) or ``hang``, bytes (the whole body), a dictionary (fields of the
    message, and ``finish_reason``), a ``Refusal``, or a list of these, one after the other, of which the last stays;
    other questions are answered by ``otherwise``, or echoed.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.otherwise: Any = None
        self.headers: list[dict[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.purposes: set[str] = set()
        self.in_flight = self.most_in_flight = 0
        super().__init__()

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/chat/completions", self._chat), web.post("/v1/completions", self._complete)]

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.purposes.add(request.headers.get("x-shosei-purpose", ""))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(request, body["messages"][-1]["content"])
        finally:
            self.in_flight -= 1

    async def _complete(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        return web.json_response({"id": "cmpl", "choices": [{"index": 0, "text": self.answers["prompt"]}]})

    async def _answer(self, request: web.Request, question: str) -> web.StreamResponse:
        answer = self.answers.get(question, self.otherwise or question)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Refusal):
            return web.json_response(answer.body, status=answer.status, headers=answer.headers)
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/json")
        if answer == "hang":
            await asyncio.sleep(1000)
        if answer == "cut":
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"id": "x", "choices"')
            assert request.transport is not None
            request.transport.abort()
            return response
        if isinstance(answer, int):
            return web.json_response({"error": {"message": "no", "code": None}}, status=answer)
        await asyncio.sleep(0.02)
        message = answer if isinstance(answer, dict) else {"content": answer}
        reason = message.get("finish_reason", "stop")
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
        usage = {"prompt_tokens": len(question), "completion_tokens": len(answer), "total_tokens": 0}
        return web.json_response({"id": f"chat-{question}", "choices": [choice], "usage": usage})


def task(item: str, question: str, suite: str = "s", max_tokens: int = 64) -> Task:
    messages = [{"role": "user", "content": question}]
    return Task(
        id=item,
        suite=suite,
        lang="ja",
        cluster=item,
        messages=messages,
        grader="exact",
        truth="正",
        max_tokens=max_tokens,
    )


def suite_file(folder: Path, name: str, *questions: str) -> Path:
    path = folder / f"{name}.jsonl"
    write_suite(path, [task(question, question, name) for question in questions])
    return path
