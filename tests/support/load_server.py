"""Servers whose behaviour is known, and a load offered to one."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from shosei.load import LoadConfig, run_load
from shosei.log import Log, open_run, read_log

SHOSEI = Path(sys.executable).with_name("shosei")
CLOSED = "http://127.0.0.1:9"  # the discard port: nothing listens
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"\xe4\xbd\xa0"}}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'


@dataclass
class Server:
    """A chat server. ``behave`` sees a request's number (from 0) and answers it, or returns None for a plain answer."""

    behave: Callable[[int, web.Request], Awaitable[web.StreamResponse | None]]
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        number = len(self.bodies)
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        if (answer := await self.behave(number, request)) is not None:
            return answer
        if not self.bodies[number].get("stream"):
            return web.json_response({"choices": [{"message": {"content": "你好"}, "finish_reason": "stop"}]})
        return await stream(request, CHUNK, CHUNK, LAST, USAGE, b"data: [DONE]\n\n")


async def stream(request: web.Request, *parts: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for part in parts:
        await response.write(part)
    return response


async def well(number: int, request: web.Request) -> None:
    await asyncio.sleep(0.02)


async def models(request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "mock", "object": "model"}]})


@contextmanager
def served(behave: Callable[[int, web.Request], Awaitable[web.StreamResponse | None]] = well) -> Iterator[Server]:
    """A server on a free port, in a thread of its own."""
    server, loop, stop, up = Server(behave), asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def run() -> None:
        app = web.Application()
        app.add_routes([web.get("/v1/models", models), web.post("/v1/chat/completions", server.chat)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        up.set()
        await stop.wait()
        await runner.cleanup()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=work)
    thread.start()
    assert up.wait(60)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def load(folder: Path, url: str, **settings: Any) -> Log:
    run = open_run(folder, must_exist=False)
    config = LoadConfig(**({"warmup_s": 0, "seconds": 1, "rate": 50, "model": "mock"} | settings))
    with run.recording("load", "inference") as record:
        asyncio.run(run_load(config, url, record.writer))
    return read_log(run.log)
