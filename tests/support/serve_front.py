"""The front over a scripted engine: a real socket, real HTTP, and an engine that does exactly what the test says."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from shosei.engine.protocol import (
    Cancel,
    ClientMessage,
    Failed,
    FrameDecoder,
    Hello,
    PromptScores,
    Submit,
    Token,
    TokenScore,
    frame,
)
from shosei.log import Request, Writer, read_log
from shosei.log.run import Run
from shosei.serve.app import MAX_BODY_BYTES, HttpRules, create_app
from shosei.serve.exchange import server_access
from shosei.serve.http_server import HttpServer
from shosei.text import Tokenizer
from shosei.wire import sse
from shosei.wire.accepted import ConnectionLimits
from shosei.wire.access import Access, AccessRules
from shosei.wire.endpoint import listen

Scene = Callable[["Front"], Any]
CONTEXT = 512
ASK = {"messages": [{"role": "user", "content": "你好"}]}
TOKENIZER = Tokenizer.train(["今天天气怎么样？", "東京の天気は？"], 300)


def tool(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def of_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


@dataclass
class ScriptedEngine:
    """Answers every request with ``text``; ``after`` says what then: end, cut (at the limit), wait for ``go_on``, fail,
    vanish, hang."""

    path: Path
    text: str = ""
    after: str = "end"
    slots: int = 4
    scored: bool = False  # whether the prompt's tokens have the score -0.25 and the end -0.5
    reused: int = 0  # of each prompt's tokens
    preempted: int = 0  # times before each answer's first token
    tokenizer: Tokenizer = TOKENIZER
    submitted: list[Submit] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(Hello("scripted", self.tokenizer.vocab_size, CONTEXT, self.slots, self.slots * CONTEXT)))
        decoder = FrameDecoder[ClientMessage](ClientMessage)
        while data := await reader.read(1 << 16):
            for message in decoder.feed(data):
                if isinstance(message, Cancel):
                    self.cancelled.set()
                else:
                    self.submitted.append(message)
                    await self.answer(message, writer)
        writer.close()

    async def answer(self, request: Submit, writer: asyncio.StreamWriter) -> None:
        tokens = self.tokenizer.encode(self.text, allow_special=True)[: request.max_tokens]
        for place, token in enumerate(tokens, 1):
            finish = "length" if self.after == "cut" and place == len(tokens) else ""
            first = {"reused": self.reused, "preempted": self.preempted} if place == 1 else {}
            writer.write(frame(Token(request.id, token, finish, **first)))
            await asyncio.sleep(0.001)
        if self.after == "wait":
            await self.go_on.wait()
        if self.after in ("end", "wait"):
            if self.scored:
                scores = [TokenScore(-0.25, [])] * (len(request.prompt) - 1)
                writer.write(frame(PromptScores(request.id, scores)))
            score = TokenScore(-0.5, []) if self.scored else None
            writer.write(frame(Token(request.id, self.tokenizer.end_id, "stop", score)))
        elif self.after == "fail":
            writer.write(frame(Failed(request.id, "out of memory", "engine_error")))
        elif self.after == "vanish":
            writer.close()


@dataclass
class Front:
    url: str
    engine: ScriptedEngine
    http: aiohttp.ClientSession
    writer: Writer
    server: HttpServer

    async def post(self, body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str) -> tuple[int, Any]:
        async with self.http.post(self.url + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def stream(self, body: dict[str, Any], path: str = "/v1/chat/completions") -> list[Any]:
        decoder = sse.Decoder()
        async with self.http.post(self.url + path, json={**body, "stream": True}) as response:
            assert response.status == 200
            events = decoder.feed(await response.read())
        return [data if data == sse.DONE else json.loads(data) for data, _ in events]

    async def event(self) -> Request:
        """The one request event of the run, once it is there: it is written when the answer has gone out."""
        while True:
            self.writer.flush()
            if found := read_log(self.writer.path.parent, 1).of(Request):
                assert len(found) == 1
                return found[0]
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    folder: Path,
    strict: bool = False,
    origins: Sequence[str] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
    access: Access | None = None,
    limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - immutable
    drain_s: float = 1.0,
    **script: Any,
) -> AsyncIterator[Front]:
    if not (folder / "tokenizer.json").exists():
        TOKENIZER.save(folder)
    http_rules = HttpRules(max_body_bytes, strict, max_waiting=1)
    access = access or server_access(AccessRules(origins=origins))
    engine = ScriptedEngine(folder / "s", tokenizer=Tokenizer.load(folder), **script)
    server = await asyncio.start_unix_server(engine.talk, engine.path)
    with Run(folder / "run").recording("http") as record, listen("127.0.0.1", 0) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # so that a client that does not read is noticed
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = create_app(folder, engine.path, "scripted", writer=record.writer, http=http_rules, access=access)
        front = HttpServer(app, limits, drain_s, log_level="critical")
        running = asyncio.create_task(front.serve(sockets=[listener]))
        try:
            async with aiohttp.ClientSession() as http:
                yield Front(url, engine, http, record.writer, front)
        finally:
            front.should_exit = True
            await running
            server.close()


def player(folder: Path) -> Callable[..., None]:
    """What runs a coroutine function against a front whose engine follows the script."""

    def play(scene: Scene, **script: Any) -> None:
        async def all_of_it() -> None:
            async with serving(folder, **script) as front, asyncio.timeout(20):
                await scene(front)

        asyncio.run(all_of_it())

    return play
