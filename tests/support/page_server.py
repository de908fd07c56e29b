"""The chat page before a model server that says what a test tells it to say, piece by piece."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from served import Served
from shosei import page
from shosei.wire.about import About, Example, RatingAbout
from shosei.wire.chat_page import ChatPage
from shosei.wire.rating_form import parse_rating_form

Json = dict[str, Any]
WAIT = "wait"  # a step: until the test opens the gate; as the first one, not even the header comes before
CUT = "cut"  # a step: the connection breaks

EXAMPLES = [
    Example("88と96の和を求めて。", "ja", "sums"),
    Example("数字の444を漢字に直してください。", "ja", "numerals"),
    Example("コスタリカの通貨は何ですか？", "ja", "facts"),
    Example("17再加52得几？", "zh", "sums"),
    Example("2304换成汉字怎么写？", "zh", "numerals"),
]


def about(**change: Any) -> About:
    """What a host says of a model like the quickstart's."""
    form = parse_rating_form(page.rating_form(), "form")
    ratings = RatingAbout.of(form, keep_text=False, rater="cookie")
    rest: Json = {"trained_on": ["numerals", "kana", "sums", "facts"], "single_turn": True, "examples": EXAMPLES}
    return About("nano", **(rest | {"ratings": ratings} | change))


def chunk(delta: Json, finish: str | None = None, **more: Any) -> bytes:
    """One event of a streamed answer."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "nano", "choices": [choice]}
    return b"data: " + json.dumps(body | more, ensure_ascii=False).encode() + b"\n\n"


def ending(finish: str = "stop", tokens: int = 7) -> list[bytes]:
    usage = {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}
    last = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "nano", "choices": [], "usage": usage}
    return [chunk({}, finish), b"data: " + json.dumps(last).encode() + b"\n\n", b"data: [DONE]\n\n"]


def streamed(text: str, finish: str = "stop") -> list[bytes]:
    """The steps of an answer, a character a chunk."""
    return [*(chunk({"content": character}) for character in text), *ending(finish)]


class PageServer(Served):
    """Serves the page at ``url``. ``answers`` are the steps of the next answers, or a status with body and headers;
    ``feedback`` the statuses of the next ratings. ``gone``: every connection is cut at once."""

    def __init__(self, about_model: About | None = None, prefix: str = "") -> None:
        self.page = ChatPage(page.static_files(), about_model or about())
        self.prefix, self.gone, self.key = prefix, False, ""
        self.answers: deque[Sequence[bytes | str] | tuple[int, Json, Json]] = deque()
        self.feedback: deque[int] = deque()
        self.asked: list[Json] = []
        self.rated: list[Json] = []  # those that were acknowledged
        self.refused: list[Json] = []
        self.surveys: list[Json] = []
        self.left = 0  # how many clients left in the middle
        self.gate = threading.Event()
        self._numbers = iter(range(1, 1_000_000))
        super().__init__()

    def routes(self) -> list[web.RouteDef]:
        listed = [web.get(f"{self.prefix}/v1/models", self._models)] if self.prefix else []
        return [
            *listed,
            web.post(f"{self.prefix}/v1/chat/completions", self._chat),
            web.post(f"{self.prefix}/v1/feedback", self._feedback),
            web.post(f"{self.prefix}/v1/survey", self._survey),
            web.get(f"{self.prefix}/livez", self._livez),
            web.get("/{path:.*}", self._page),
        ]

    async def _page(self, request: web.Request) -> web.StreamResponse:
        self._check(request, keyless=request.path in self.page.keyless)
        path = request.path.removeprefix(self.prefix)
        headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
        answer = self.page.answer(request.method, path, headers)
        if answer is None:
            raise web.HTTPNotFound
        return web.Response(
            body=answer.body, status=answer.status, headers={k.decode(): v.decode() for k, v in answer.headers}
        )

    async def _models(self, request: web.Request) -> web.Response:
        self._check(request)
        return await super()._models(request)

    async def _livez(self, request: web.Request) -> web.StreamResponse:
        self._check(request, keyless=True)
        return web.json_response({"status": "ok"})

    def _check(self, request: web.Request, *, keyless: bool = False) -> None:
        if self.gone and request.transport:
            request.transport.abort()
            raise asyncio.CancelledError
        if self.key and not keyless and request.headers.get("Authorization") != f"Bearer {self.key}":
            error = {"message": "This server wants an API key", "code": "key_required"}
            raise web.HTTPUnauthorized(text=json.dumps({"error": error}), content_type="application/json")

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        self.asked.append(await request.json())
        steps = self.answers.popleft() if self.answers else streamed("はい、そうです。")
        if isinstance(steps, tuple):
            status, body, headers = steps
            return web.json_response(body, status=status, headers=headers)
        try:
            return await self._answer(request, steps)
        except asyncio.CancelledError:
            self.left += 1
            raise

    async def _answer(self, request: web.Request, steps: Sequence[bytes | str]) -> web.StreamResponse:
        number = next(self._numbers)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if steps[0] == WAIT:
            await self._opened()
        await response.prepare(request)
        for step in steps:
            if step == WAIT:
                await self._opened()
            elif step == CUT:
                await asyncio.sleep(0.1)  # a reset overtakes what was sent just before it
                assert request.transport
                request.transport.abort()
                return response
            else:
                assert isinstance(step, bytes)
                await response.write(step.replace(b"chatcmpl-1", b"chatcmpl-%d" % number))
                await asyncio.sleep(0.002)
        return response

    async def _opened(self) -> None:
        while not self.gate.is_set():
            await asyncio.sleep(0.01)

    async def _feedback(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        body = await request.json()
        status = self.feedback.popleft() if self.feedback else 200
        if status != 200:
            self.refused.append(body)
            error = {"error": {"message": "the disk is full", "code": "not_recorded"}}
            return web.json_response(error, status=status, headers={"Retry-After": "1"})
        self.rated.append(body)
        return web.json_response({"request": body["request"], "turn": 0, "recorded": True, "text_kept": False})

    async def _survey(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        self.surveys.append(await request.json())
        return web.json_response({"recorded": True})
