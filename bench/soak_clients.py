"""The clients of ``bench/soak.py``: those that behave and those that do not, each kind with a key of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import socket
import time
from collections.abc import Callable
from typing import Any

from soak_ledger import Exchange, Ledger

CHAT, COMPLETION, RATING = "/v1/chat/completions", "/v1/completions", "/v1/feedback"
TOKENS = 32
PATIENCE_S = 60.0
BOMB_LEAVES_S = 1.0
_WORDS = ("今天天气怎么样？", "東京の天気は？", "你好，世界。", "こんにちは、世界。")
_ID = re.compile(rb'"id":\s?"((?:chat)?cmpl-[^"]+)"')
_GRAMMAR = {"allOf": [{"type": "string", "pattern": f"^.*x.{{{length}}}y.*$"} for length in range(2, 42)]}
_MALFORMED: tuple[bytes, ...] = (
    b"",
    b"{",
    b"[]",
    b"\xff\xfe\x00",
    b'{"messages": "hello"}',
    b'{"messages": []}',
    b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
    b'{"messages": [{"role": "nobody", "content": "x"}]}',
    b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1e999}',
    b'{"messages": [{"role": "user", "content": "x"}], "temperature": "hot"}',
    b'{"messages": ' + b"[" * 5000 + b"]" * 5000 + b"}",
)


class Clients:
    """Ask the server at ``host`` and ``port``, and keep the ledger."""

    def __init__(self, port: int, keys: dict[str, str], ledger: Ledger, seed: int = 0) -> None:
        self._port, self._keys, self.ledger = port, keys, ledger
        self._random = random.Random(seed)
        self.kinds: dict[str, Callable[[], Any]] = {
            "whole": self.whole,
            "stream": self.stream,
            "leaver": self.leaver,
            "malformed": self.malformed,
            "oversize": self.oversize,
            "slow": self.slow,
            "bomb": self.bomb,
        }

    async def whole(self) -> Exchange:
        return await self._rated(await self._ask("whole", CHAT, self._chat()))

    async def stream(self) -> Exchange:
        return await self._rated(await self._ask("stream", CHAT, self._chat(stream=True)))

    async def leaver(self) -> Exchange:
        """Leaves at once, or after a while, mostly within the answer."""
        leaves_s = self._random.choice((0.0, self._random.uniform(0.01, 0.5)))
        return await self._ask("leaver", CHAT, self._chat(stream=True, max_tokens=8 * TOKENS), leaves_s=leaves_s)

    async def malformed(self) -> Exchange:
        return await self._ask("malformed", CHAT, self._random.choice(_MALFORMED))

    async def oversize(self) -> Exchange:
        """A prompt beyond the context, or a body beyond the limit."""
        characters = self._random.choice((20_000, 600_000))
        return await self._ask("oversize", CHAT, self._chat(content="天" * characters))

    async def slow(self) -> Exchange:
        """Reads a kilobyte at a time."""
        return await self._ask("slow", CHAT, self._chat(stream=True, max_tokens=4 * TOKENS), pause_s=0.2)

    async def bomb(self) -> Exchange:
        """A schema that would take the compiler for ever; every other client does not wait for the refusal."""
        schema = _GRAMMAR | {"title": str(self._random.random())}  # so that no cache knows it
        form = {"type": "json_schema", "json_schema": {"name": "bomb", "schema": schema}}
        leaves_s = self._random.choice((None, BOMB_LEAVES_S))
        return await self._ask("bomb", CHAT, self._chat(response_format=form), leaves_s=leaves_s)

    async def probe(self) -> Exchange:
        return await self._ask("probe", COMPLETION, json.dumps({"prompt": "你好", "max_tokens": 1}).encode())

    async def long(self) -> Exchange:
        """An answer that keeps its slot for a while."""
        body = self._chat(stream=True, max_tokens=8 * TOKENS, min_tokens=8 * TOKENS)
        return await self._ask("round", CHAT, body)

    async def alive(self) -> None:
        """Ask /livez."""
        begin = time.monotonic()
        exchange = Exchange("livez", begin)
        request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        await self._send(exchange, request, None, 0.0)
        took = exchange.took_s if exchange.status == 200 else float("inf")
        self.ledger.livez.append((begin, took))

    async def _rated(self, exchange: Exchange) -> Exchange:
        """Rate every fifth answer."""
        if exchange.outcome == "answered" and self._random.random() < 0.2:
            stars = self._random.randint(1, 5)
            body = {"request": exchange.answer, "stars": stars, "user": f"user-{self._random.randrange(1000)}"}
            rating = Exchange("rating", time.monotonic())
            await self._send(rating, self._post("rating", RATING, json.dumps(body).encode()), None, 0.0)
            self.ledger.ratings[rating.status] += 1
            if rating.status == 200 and rating.outcome == "answered":
                self.ledger.acknowledged.append((exchange.answer, stars))
        return exchange

    def _chat(self, content: str = "", **fields: Any) -> bytes:
        content = content or self._random.choice(_WORDS) * self._random.randint(1, 4)
        body = {"messages": [{"role": "user", "content": content}], "max_tokens": TOKENS, "temperature": 1.0}
        return json.dumps(body | fields).encode()

    def _post(self, kind: str, path: str, body: bytes) -> bytes:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._keys[kind]}\r\n"
            f"Content-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def _ask(
        self, kind: str, path: str, body: bytes, *, leaves_s: float | None = None, pause_s: float = 0.0
    ) -> Exchange:
        exchange = Exchange(kind, time.monotonic())
        await self._send(exchange, self._post(kind, path, body), leaves_s, pause_s)
        self.ledger.exchanges.append(exchange)
        return exchange

    async def _send(self, exchange: Exchange, request: bytes, leaves_s: float | None, pause_s: float) -> None:
        """Send the request and read to the end, or until ``leaves_s``; with ``pause_s`` between reads of a kilobyte."""
        answer = bytearray()
        try:
            async with asyncio.timeout(PATIENCE_S if leaves_s is None else leaves_s + 1e-3):
                await self._exchange(exchange, request, answer, pause_s)
            exchange.outcome = outcome_of(bytes(answer))
        except TimeoutError:
            exchange.outcome = "silent" if leaves_s is None else "left"
        except ConnectionRefusedError:
            exchange.outcome = "no connection"
        except OSError:
            exchange.outcome = outcome_of(bytes(answer))
        exchange.end_s = time.monotonic()
        if answer.startswith(b"HTTP/1.1 "):
            exchange.status = int(answer[9:12])
        if found := _ID.search(answer):
            exchange.answer = found[1].decode()

    async def _exchange(self, exchange: Exchange, request: bytes, answer: bytearray, pause_s: float) -> None:
        reader, writer = await self._connected(small=bool(pause_s))
        try:
            writer.write(request)
            with contextlib.suppress(ConnectionError):  # refused before its end: the answer says why
                await writer.drain()
            while data := await reader.read(1024 if pause_s else 1 << 16):
                answer += data
                if not exchange.first_s and b"data:" in answer:
                    exchange.first_s = time.monotonic()
                await asyncio.sleep(pause_s)
        finally:
            writer.close()

    async def _connected(self, small: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        plain = socket.socket()
        if small:  # the kernel reads no further ahead either
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        plain.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", self._port))
        except BaseException:
            plain.close()
            raise
        return await asyncio.open_connection(sock=plain, limit=2048 if small else 1 << 16)


def outcome_of(answer: bytes) -> str:
    """How an answer ended, by all the bytes that came."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return "cut"
    if int(head[9:12]) >= 400:
        return "refused"
    if b"chunked" not in head.lower():
        length = re.search(rb"content-length: (\d+)", head.lower())
        return "answered" if length and len(body) == int(length[1]) else "cut"
    if b'data: {"error"' in body:
        return "error event"
    return "answered" if b"data: [DONE]" in body else "cut"
