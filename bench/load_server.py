"""A chat server that does nothing but answer, for ``bench/load.py``: ``python bench/load_server.py PORT DELAY_MS``.

Raw asyncio: a streamed answer is eight chunks, each written by itself; the first comes after the delay. ``GET /first``
gives the time of the first chat since it was last asked.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import ClassVar

import uvloop

_MODELS = json.dumps({"object": "list", "data": [{"id": "mock", "object": "model"}]}).encode()
_USAGE = {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18}


def _chunk(text: str | None, finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choices = [{"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}]
    body = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 0, "model": "mock", "choices": choices}
    data = b"data: " + json.dumps(body | ({"usage": usage} if usage else {})).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


_CHUNKS = [*(_chunk(f"word{number} ") for number in range(7)), _chunk("end", "stop", _USAGE)]
_DONE = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_WHOLE = json.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": "mock",
        "usage": _USAGE,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 8}, "finish_reason": "stop"}],
    }
).encode()


def _page(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Connection(asyncio.Protocol):
    first: ClassVar[float | None] = None  # seconds of the monotonic clock

    def __init__(self, delay_s: float) -> None:
        self._loop, self._delay_s, self._rest = asyncio.get_running_loop(), delay_s, b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, end, body = self._rest.partition(b"\r\n\r\n")
        if not end:
            return
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return
        self._rest = b""
        if head.startswith(b"GET /first"):
            self._transport.write(_page(json.dumps(Connection.first).encode()))
            Connection.first = None
        elif head.startswith(b"GET"):
            self._transport.write(_page(_MODELS))
        else:
            Connection.first = Connection.first or time.monotonic()
            self._chat(body)

    def _chat(self, body: bytes) -> None:
        if not (b'"stream":true' in body or b'"stream": true' in body):
            self._loop.call_later(self._delay_s, self._transport.write, _page(_WHOLE))
        else:
            self._loop.call_later(self._delay_s, self._send, 0)

    def _send(self, number: int) -> None:
        """One chunk a turn of the event loop, as an engine's steps would come."""
        if self._transport.is_closing():
            return
        if number == 0:
            self._transport.write(_STREAM + _CHUNKS[0])
        else:
            self._transport.write(_CHUNKS[number] + (_DONE if number == len(_CHUNKS) - 1 else b""))
        if number + 1 < len(_CHUNKS):
            self._loop.call_soon(self._send, number + 1)


async def main(port: int, delay_ms: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(delay_ms / 1000), "127.0.0.1", port)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
