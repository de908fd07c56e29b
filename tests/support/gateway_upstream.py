"""Model servers that behave in known ways, good and bad, and a gateway before them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import uvloop

from shosei.gateway import Gateway, GatewayConfig
from shosei.gateway.gateway import ignore
from shosei.log import Log, open_run, read_log

Handler = Callable[["Asked"], Awaitable[None]]
Talk = Callable[[Gateway], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "prompt_tokens_details": {"cached_tokens": 4}}
DONE = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
JSON = {"Content-Type": "application/json"}  # of a request
QUESTION: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "今日は何曜日？"}]}
MESSAGE = {"role": "assistant", "content": "月曜日です。"}


@dataclass
class Asked:
    """A request as the upstream got it, and where the answer goes."""

    head: str
    body: dict[str, Any]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    raw: bytes = b""  # the body

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0)


def _object(raw: bytes) -> dict[str, Any]:
    """The JSON object of a body; empty for anything else."""
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


@dataclass
class Upstream:
    """A server on a free port. A handler that raises ConnectionError ends the connection."""

    handler: Handler
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    left: int = 0  # connections that the gateway ended while their request was being answered

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering = False
        try:
            while True:
                answering = False
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lengths = [line[15:] for line in head.splitlines() if line.lower().startswith("content-length:")]
                raw = await reader.readexactly(int(lengths[0])) if lengths else b""
                self.asked.append(Asked(head, _object(raw), reader, writer, raw))
                answering = True
                await self.handler(self.asked[-1])
        except asyncio.IncompleteReadError:
            self.left += answering
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Upstream]:
    upstream = Upstream(handler)
    server = await asyncio.start_server(upstream.connected, "127.0.0.1", 0, limit=1 << 20)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()


def through(
    folder: Path, handler: Handler, talk: Talk, on_exceeded: Callable[[str], None] = ignore, **config: Any
) -> tuple[Log, Upstream]:
    """``talk`` to a gateway before a server that answers by ``handler``; return the log and the server."""

    async def run() -> Upstream:
        async with serving(handler) as upstream:
            async with Gateway(upstream.url, record.writer, GatewayConfig(port=0, **config), on_exceeded) as gateway:
                await talk(gateway)
        return upstream

    target = open_run(folder, must_exist=False)
    with target.recording("gateway", "inference") as record:
        upstream = uvloop.run(run())
    return read_log(target.log), upstream


def client(gateway: Gateway, task: str = "", agent: str = "", **options: Any) -> openai.AsyncOpenAI:
    """The official client, which refuses answers that are not in the API's form, and does not retry unless told."""
    options = {"api_key": "placeholder", "max_retries": 0, "_strict_response_validation": True} | options
    return openai.AsyncOpenAI(base_url=gateway.base_url(task, agent), **options)


def page(body: object) -> bytes:
    data = json.dumps(body, ensure_ascii=False).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(data), data)


def completion(message: dict[str, Any] = MESSAGE, finish: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    head = {"id": "up-1", "object": "chat.completion", "created": 1, "model": "m"}
    return head | {"choices": [choice], "usage": USAGE}


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
    head = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return framed(b"data: " + json.dumps(head | {"choices": choices} | more, ensure_ascii=False).encode() + b"\n\n")


def framed(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKS = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in ("月曜", "日で", "す。"))]


async def well(asked: Asked) -> None:
    """Answers as OpenAI does: usage in a chunk of its own, if it is asked for."""
    if not asked.body.get("stream"):
        await asked.say(OK + page(completion()))
        return
    counted = [chunk(None, usage=USAGE)] if (asked.body.get("stream_options") or {}).get("include_usage") else []
    await asked.say(STREAM, *CHUNKS, chunk({}, "stop"), *counted, DONE)


async def silent(asked: Asked) -> None:
    """Says nothing until the gateway leaves."""
    await asked.reader.read()
    raise asyncio.IncompleteReadError(b"", None)


async def text_of(stream: Any) -> str:
    """The text of a streamed answer."""
    return "".join([part.choices[0].delta.content or "" async for part in stream if part.choices])


def unchunked(answer: bytes) -> bytes:
    """The body of an HTTP answer; of one that breaks off, as far as it came."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    parts = []
    while body and (size := int(body.partition(b"\r\n")[0], 16)):
        _, _, body = body.partition(b"\r\n")
        parts.append(body[:size])
        body = body[size + 2 :]
    return b"".join(parts)


async def exchanged(url: str, request: bytes) -> bytes:
    """What a plain socket is answered until the server ends the connection."""
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    try:
        return await reader.read(-1)
    finally:
        writer.close()
