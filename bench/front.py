"""What a request and a token cost the HTTP front: ``python bench/front.py [TURNS]``.

Behind it is an engine that only pretends: it gives each of its streams a token a millisecond. Eight streams of 1,000
tokens are read at once, then 200 answers of one token one after the other. Counted is the processor time of the front's
process, so that neither engine nor client are in it. Prints medians over the turns; the last line is JSON.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Process
from pathlib import Path

import aiohttp
import psutil

from shosei.engine.protocol import ClientMessage, FrameDecoder, Hello, Submit, Token, frame
from shosei.text import Tokenizer
from shosei.wire.endpoint import is_ready, listen

STREAMS, TOKENS, REQUESTS = 8, 1000, 200
STEP_S = 0.001
BODY = {"messages": [{"role": "user", "content": "hello"}], "temperature": 0}


def main() -> None:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    a_token, a_request = list[float](), list[float]()
    with fronting() as (front, url):
        for _ in range(turns):
            a_token.append(asyncio.run(cost(front, url, STREAMS, TOKENS)) / (STREAMS * TOKENS))
            a_request.append(sum(asyncio.run(cost(front, url, 1, 1)) for _ in range(REQUESTS)) / REQUESTS)
    token_us, request_us = statistics.median(a_token) * 1e6, statistics.median(a_request) * 1e6
    print(f"a token costs the front {token_us:.1f} µs, an answer of one token {request_us:.0f} µs")
    print(json.dumps({"token_us": token_us, "request_us": request_us}))


async def cost(front: psutil.Process, url: str, streams: int, tokens: int) -> float:
    """Seconds of processor time that the front takes for so many streams at once."""
    body = BODY | {"stream": True, "max_tokens": tokens}

    async def read(client: aiohttp.ClientSession) -> None:
        async with client.post(f"{url}/v1/chat/completions", json=body) as response:
            text = await response.text()
            assert text.count('"content":"a"') == tokens, text[-500:]

    before = front.cpu_times()
    async with aiohttp.ClientSession() as client:
        await asyncio.gather(*(read(client) for _ in range(streams)))
    after = front.cpu_times()
    return after.user + after.system - before.user - before.system


@contextmanager
def fronting() -> Iterator[tuple[psutil.Process, str]]:
    """The front's process and its URL."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = Tokenizer.train(["a hello"], 300)
        tokenizer.save(folder)
        engine = Process(target=lambda: asyncio.run(pretend(folder / "s", tokenizer)), daemon=True)
        engine.start()
        with listen("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
        words = ["--model", name, "--socket", str(folder / "s"), "--port", str(port), "--name", "m"]
        front = subprocess.Popen([sys.executable, "-m", "shosei", "http", *words])
        url = f"http://127.0.0.1:{port}"
        try:
            while not is_ready(url):
                assert front.poll() is None
            yield psutil.Process(front.pid), url
        finally:
            front.terminate()
            front.wait()
            engine.terminate()


async def pretend(path: Path, tokenizer: Tokenizer) -> None:
    """Be an engine at ``path`` that answers everything with the same token, again and again."""
    (token,) = tokenizer.encode("a")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left: dict[int, int] = {}
        writer.write(frame(Hello("pretended", tokenizer.vocab_size, 1 << 16, STREAMS, STREAMS << 16)))
        stepping = asyncio.create_task(step(left, writer))
        decoder = FrameDecoder[ClientMessage](ClientMessage)
        while data := await reader.read(1 << 16):
            for message in decoder.feed(data):
                if isinstance(message, Submit):
                    left[message.id] = message.max_tokens
        stepping.cancel()

    async def step(left: dict[int, int], writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(STEP_S)
            for id in left:
                left[id] -= 1
            writer.write(b"".join(frame(Token(id, token, "" if more else "length")) for id, more in left.items()))
            for id in [id for id, more in left.items() if not more]:
                del left[id]

    server = await asyncio.start_unix_server(talk, path)
    await server.serve_forever()


if __name__ == "__main__":
    main()
