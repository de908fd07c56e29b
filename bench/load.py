"""Load clients by turns on one server that does nothing but answer: ``python bench/load.py [SECONDS] [TURNS]``.

The server (``bench/load_server.py``) has core 1, the client core 0; 32 requests are in flight. Prints medians of
streams and of whole answers a second with their ratios, the time from the command's start to its first request, and
how much later than a raw client ``shosei load`` sees the first token; the last line is JSON. Peers are measured where
their commands are on the PATH; BENCH_TOKENIZER names the tokenizer that they ask for.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from shosei.log import Request, Window, read_log

IN_FLIGHT = 32
CLIENT_CORE, SERVER_CORE = 0, 1
DELAY_MS = 50.0
BODY = {"model": "mock", "messages": [{"role": "user", "content": "请用一句话介绍你自己。"}], "max_tokens": 64}
SHOSEI = [sys.executable, "-m", "shosei"]
TOKENIZER = os.environ.get("BENCH_TOKENIZER", "mock")  # peers count tokens themselves


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    os.sched_setaffinity(0, {CLIENT_CORE})  # and so every client that is started below
    results: dict[str, object] = {}
    with served(0) as url:
        for kind in ("streams", "whole"):
            rates: dict[str, list[float]] = {}
            for _ in range(turns):
                for name, client in CLIENTS.items():
                    if (rate := client(url, kind == "streams", seconds)) is not None:
                        rates.setdefault(name, []).append(rate)
            medians = {name: statistics.median(found) for name, found in rates.items()}
            results[kind] = medians
            print(f"{kind} a second, medians of {turns}:")
            for name in CLIENTS:
                print(f"  {name:12} {compared(medians, name)}")
        results["start_s"] = statistics.median(start_s(url) for _ in range(turns))
    print(f"start to first request: {results['start_s']:.2f} s")
    with served(DELAY_MS) as url:
        results["ttft_bias_ms"] = statistics.median(ttft_bias_ms(url, seconds) for _ in range(turns))
    print(f"first token, later than a raw client's at 20 requests/s: {results['ttft_bias_ms']:.3f} ms")
    print(json.dumps(results))


def compared(medians: dict[str, float], name: str) -> str:
    if name not in medians:
        return "not installed"
    return f"{medians[name]:9,.0f}   shosei is {medians['shosei'] / medians[name]:.2f} times that"


@contextmanager
def served(delay_ms: float) -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("load_server.py")), "0", str(delay_ms)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(server.pid, {SERVER_CORE})
    try:
        assert server.stdout
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()


def shosei(url: str, stream: bool, seconds: float) -> float:
    with loaded(url, "--concurrency", str(IN_FLIGHT), "--seconds", str(seconds), stream=stream, warmup_s=1) as folder:
        log = read_log(folder / "log")
    steady = next(window for window in log.of(Window) if window.name == "steady")
    done = [request.done_ns for request in log.of(Request) if not request.error]
    return sum(steady.begin_ns <= at < steady.end_ns for at in done) / ((steady.end_ns - steady.begin_ns) / 1e9)


@contextmanager
def loaded(url: str, *arguments: str, stream: bool = True, warmup_s: float = 0) -> Iterator[Path]:
    """The run folder of a ``shosei load``."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--stream" if stream else "--no-stream", "--set", f"load.warmup_s={warmup_s}", *arguments]
        command = [*SHOSEI, "load", url, "--run", folder, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield Path(folder)


def raw(url: str, stream: bool, seconds: float) -> float:
    """The ceiling: the same bytes, written and read until the answer's last ones, and nothing looked at."""
    return uvloop.run(_raw(url, stream, seconds))


async def _raw(url: str, stream: bool, seconds: float) -> float:
    body = json.dumps(BODY | {"stream": stream}).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    last = b"0\r\n\r\n" if stream else b"}"
    host, port = url.removeprefix("http://").split(":")
    answered, end = 0, time.monotonic() + seconds

    class Place(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            transport.write(request)

        def data_received(self, data: bytes) -> None:
            nonlocal answered
            if data.endswith(last):
                answered += 1
                self.transport.write(request)

    loop = asyncio.get_running_loop()
    places = [await loop.create_connection(Place, host, int(port)) for _ in range(IN_FLIGHT)]
    await asyncio.sleep(end - time.monotonic())
    for transport, _ in places:
        transport.abort()
    return answered / seconds


def start_s(url: str) -> float:
    """Seconds from the command's start to its first request."""
    begin_ns = time.monotonic_ns()
    with loaded(url, "--rate", "1000", "--seconds", "0.05") as folder:
        return (read_log(folder / "log").of(Request)[0].sent_ns - begin_ns) / 1e9


def ttft_bias_ms(url: str, seconds: float) -> float:
    """Medians of the time to the first token: that of ``shosei load``, from the schedule, less a raw client's."""
    with loaded(url, "--rate", "20", "--arrival", "constant", "--seconds", str(seconds)) as folder:
        requests = read_log(folder / "log").of(Request)
    ours = statistics.median((request.first_token_ns - request.scheduled_ns) / 1e6 for request in requests)
    return ours - statistics.median(raw_ttft_ms(url, len(requests)))


def raw_ttft_ms(url: str, count: int) -> list[float]:
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps(BODY | {"stream": True}).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    times = []
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            begin = time.monotonic()
            connection.sendall(request)
            data = connection.recv(65536)
            times.append((time.monotonic() - begin) * 1000)
            while not data.endswith(b"0\r\n\r\n"):
                data = connection.recv(65536)
    return times


def peer(name: str, url: str, stream: bool, seconds: float) -> float | None:
    """The rate that a peer's command reports; None where it is not installed or has no such mode."""
    common = ["--model", "mock", "--tokenizer", TOKENIZER]
    commands = {
        "vllm": [
            "bench", "serve", "--backend", "openai-chat", "--base-url", url, *common,
            "--endpoint", "/v1/chat/completions", "--dataset-name", "random", "--random-input-len", "16",
            "--random-output-len", "8", "--num-prompts", "5000", "--max-concurrency", str(IN_FLIGHT),
        ],
        "aiperf": [
            "profile", "--url", url, "--endpoint-type", "chat", *common, *(["--streaming"] if stream else []),
            "--concurrency", str(IN_FLIGHT), "--request-count", "2000",
        ],
        "guidellm": [
            "benchmark", "--target", url, "--rate-type", "concurrent", "--rate", str(IN_FLIGHT),
            "--max-seconds", str(seconds), "--data", "prompt_tokens=16,output_tokens=8", "--processor", TOKENIZER,
        ],
    }  # fmt: skip
    if not shutil.which(name) or (not stream and name != "aiperf"):
        return None
    done = subprocess.run([name, *commands[name]], capture_output=True, text=True)
    found = re.search(PATTERNS[name], done.stdout, re.IGNORECASE)
    if not found:
        raise SystemExit(f"{name} reported no rate (exit code {done.returncode}): {done.stderr[-500:]}")
    return float(found[1].replace(",", ""))


PATTERNS = {
    "vllm": r"request throughput \(req/s\):\s+([\d.]+)",
    "aiperf": r"request throughput[^\d]*([\d,.]+)",
    "guidellm": r"requests/s[^\d]*([\d.]+)",
}
CLIENTS: dict[str, Callable[[str, bool, float], float | None]] = {
    "shosei": shosei,
    "raw": raw,
    **{name: functools.partial(peer, name) for name in PATTERNS},
}

if __name__ == "__main__":
    main()
