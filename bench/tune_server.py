"""A server of OpenAI's API whose capacity is known: what ``shosei tune`` is tested on. Only the standard library.

``--capacity`` requests a second are answered at once and the rest late, by ``LATE_S``. Settings move the capacity by
``surface``, each start by ``--noise``, and some settings end it before it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import signal
import sys
import time

LATE_S = 0.6  # before the first word of a request beyond the capacity
_EVENTS, _JSON = b"text/event-stream", b"application/json"
_USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
_MODELS = b'{"object":"list","data":[{"id":"mock","object":"model"}]}'


def surface(max_num_seqs: int, max_num_batched_tokens: int, prefix_caching: str, chunked_prefill: str) -> float:
    """Logarithm of the capacity beside that of vLLM's defaults (256, 8192, both on), of which it is 0.

    More sequences help up to 96 or so, more tokens a little; caching is worth a tenth, chunks next to nothing.
    """
    return (
        0.12
        - 0.06 * math.log2(max_num_seqs / 96) ** 2
        + 0.03 * math.log2(max_num_batched_tokens / 8192)
        - 0.1 * prefix_caching.startswith("--no-")
        - 0.01 * chunked_prefill.startswith("--no-")
    )


def is_too_large(max_num_seqs: int, max_num_batched_tokens: int) -> bool:
    """Whether memory would not suffice."""
    return max_num_seqs * max_num_batched_tokens > 256 * 8192 * 2


def worded(word: str) -> tuple[bytes, bytes]:
    """An answer that says the word twice: streamed in two chunks, and whole."""
    chunks = [{"choices": [{"index": 0, "delta": {"content": word}}]}] * 2
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": _USAGE}]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    message = {"index": 0, "message": {"role": "assistant", "content": 2 * word}, "finish_reason": "stop"}
    return stream.encode(), json.dumps({"choices": [message], "usage": _USAGE}).encode()


class Bucket:
    """What a server can still answer at once: it fills by ``rate`` a second, up to a tenth of a second's."""

    def __init__(self, rate: float) -> None:
        self._rate, self._tokens, self._at = rate, 1.0, time.monotonic()

    def take(self) -> bool:
        """Whether one more can be answered at once."""
        now = time.monotonic()
        self._tokens = min(max(1.0, self._rate / 10), self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


async def serve(port: int, capacity: float, word: str, dies_after: int) -> None:
    """Answer until killed, or as many requests as it lives."""
    bucket, left = Bucket(capacity), iter(range(dies_after, 0, -1)) if dies_after else None

    stream, whole = worded(word)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await answer(head.decode("latin-1"), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = head.split("\r\n")
        size = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), 0)
        body = await reader.readexactly(size)
        if "/chat/completions" in lines[0]:
            if left and not next(left, 0):
                os.kill(os.getpid(), signal.SIGKILL)
            if not bucket.take():
                await asyncio.sleep(LATE_S)
            kind, said = (_EVENTS, stream) if b'"stream":true' in body.replace(b" ", b"") else (_JSON, whole)
            send(writer, b"200 OK", kind, said)
        elif "/models" in lines[0]:
            send(writer, b"200 OK", _JSON, _MODELS)
        else:
            send(writer, b"404 Not Found", _JSON, b"{}")
        await writer.drain()

    def send(writer: asyncio.StreamWriter, status: bytes, kind: bytes, body: bytes) -> None:
        writer.write(
            b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (status, kind, len(body), body)
        )

    server = await asyncio.start_server(talk, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--capacity", type=float, default=40.0)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--gain", type=json.loads, default={}, help='a logarithm for each "NAME=VALUE"')
    parser.add_argument("--setting", action="append", default=[], help="NAME=VALUE; repeatable")
    parser.add_argument("--vllm", action="store_true", help="settings are those of the surface, in its order")
    parser.add_argument("--wrong", action="append", default=[], help="NAME=VALUE with which it answers otherwise")
    parser.add_argument("--dies-after", type=int, default=0, help="so many requests")
    parser.add_argument("--crash", action="append", default=[], help="NAME=VALUE that ends it at once")
    asked = parser.parse_args()
    if crash := set(asked.crash) & set(asked.setting):
        sys.exit(f"out of memory with {crash.pop()}")
    effect = sum(asked.gain.get(setting, 0.0) for setting in asked.setting)
    if asked.vllm:
        values = [setting.partition("=")[2] for setting in asked.setting]
        sequences, tokens, caching, chunks = int(values[0]), int(values[1]), values[2], values[3]
        if is_too_large(sequences, tokens):
            sys.exit("torch.OutOfMemoryError: CUDA out of memory")
        effect = surface(sequences, tokens, caching, chunks)
    capacity = asked.capacity * math.exp(effect + random.gauss(0, asked.noise))
    word = "我" if set(asked.wrong) & set(asked.setting) else "你"
    asyncio.run(serve(asked.port, capacity, word, asked.dies_after))


if __name__ == "__main__":
    main()
