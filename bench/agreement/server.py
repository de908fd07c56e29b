"""A chat server that keeps a script and writes down what it did: ``python bench/agreement/server.py [ANSWERS.json]``.

A question bears its number as ``#12``. With a file, a list of texts, the answer is the text of that number, at once.
Without one, the answer is words at moments that are drawn by the number, whoever asks and in whichever order: so two
clients that ask the same questions get the same work. Every ``FAILING``th question fails with status 500. ``GET
/truth`` gives what left this process when, of every chat so far, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

FAILING = 16
TAIL_S = 0.04  # from the last token to the usage and the stream's end
THINKING = "thinking"  # the model whose first tokens are thoughts
WORDS = 40  # different tokens


def schedule(number: int) -> list[float]:
    """Seconds from the request to each token of the answer to a question; as many as it has tokens."""
    draw = random.Random(number)
    at = draw.uniform(0.15, 0.45)
    return [at := at + (draw.uniform(0.02, 0.06) if place else 0.0) for place in range(draw.randint(8, 24))]


class Server:
    def __init__(self, answers: list[str] | None) -> None:
        self.answers = answers
        self.truth: list[dict[str, Any]] = []

    async def chat(self, request: web.Request) -> web.StreamResponse:
        received = time.monotonic()
        body = await request.json()
        number = _number(body)
        told: dict[str, Any] = {"number": number, "received_s": received, "token_s": []}
        self.truth.append(told)
        if self.answers is not None:
            return web.json_response(_whole(body["model"], self.answers[number]))
        if number % FAILING == FAILING - 1:
            return web.json_response({"error": {"message": "out of slots", "type": "server_error"}}, status=500)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for chunk in _chunks(body["model"], number, told):
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            if chunk["choices"]:
                told["token_s"].append(time.monotonic())
        await response.write(b"data: [DONE]\n\n")
        told["end_s"] = time.monotonic()
        return response

    async def tell(self, _: web.Request) -> web.Response:
        return web.json_response(self.truth)


def _number(body: dict[str, Any]) -> int:
    found = re.findall(r"#(\d+)", json.dumps(body["messages"][-1]["content"]))
    return int(found[-1])


async def _chunks(model: str, number: int, told: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """A chunk a token, each at its time, and the usage after ``TAIL_S``."""
    moments = schedule(number)
    told["thoughts"] = len(moments) // 2 if model == THINKING else 0
    for place, (moment, word) in enumerate(zip(moments, _words(number), strict=False)):
        await asyncio.sleep(told["received_s"] + moment - time.monotonic())
        kind = "reasoning_content" if place < told["thoughts"] else "content"
        finish = "stop" if place == len(moments) - 1 else None
        yield _chunk(model, choices=[{"index": 0, "delta": {kind: word}, "finish_reason": finish}])
    await asyncio.sleep(TAIL_S)
    yield _chunk(model, choices=[], usage=_usage(len(moments)))


def _words(number: int) -> Iterator[str]:
    draw = random.Random(number)
    while True:
        yield f" word{draw.randrange(WORDS)}"


def _chunk(model: str, **fields: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 0, "model": model, **fields}


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 4, "completion_tokens": tokens, "total_tokens": 4 + tokens}


def _whole(model: str, text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"id": "chatcmpl-0", "object": "chat.completion", "created": 0, "model": model}
    return {**body, "choices": [choice], "usage": _usage(len(text))}


async def _models(_: web.Request) -> web.Response:
    models = [{"id": name, "object": "model"} for name in ("mock", THINKING)]
    return web.json_response({"object": "list", "data": models})


async def main(answers: list[str] | None) -> None:
    server = Server(answers)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/truth", server.tell)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else None))
