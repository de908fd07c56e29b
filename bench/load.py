"""Load clients by turns on one server that does nothing but answer: ``python bench/load.py [SECONDS] [TURNS]``.

The server (``bench/load_server.py``) has core 1, the client core 0; 32 requests are in flight. Prints medians of
streams and of whole answers a second with their ratios, the time from the command's start to its first request, and
how much later than a raw client ``shosei load`` sees the first token; the last line is JSON. Peers take their turns
where their commands are on the PATH; BENCH_MODEL is the folder of a model with whose tokenizer they count tokens.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import load_peers
import uvloop

from shosei.log import Request, Window, read_log

IN_FLIGHT = 32
CLIENT_CORE, SERVER_CORE = 0, 1
DELAY_MS = 50.0
BODY = {"model": "mock", "messages": [{"role": "user", "content": "请用一句话介绍你自己。"}], "max_tokens": 64}
SHOSEI = [sys.executable, "-m", "shosei"]


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    os.sched_setaffinity(0, {CLIENT_CORE})  # and so every client that is started below
    results: dict[str, object] = {}
    with served(0) as url:
        starts = {name: found for name in CLIENTS if (found := start_s(name, url, turns)) is not None}
        results["start_s"] = starts
        for name, start in starts.items():
            print(f"{name}: {start:.2f} s from its start to its first request")
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
    with served(DELAY_MS) as url:
        results["ttft_bias_ms"] = statistics.median(ttft_bias_ms(url, seconds) for _ in range(turns))
    print(f"first token, later than a raw client's at 20 requests/s: {results['ttft_bias_ms']:.3f} ms")
    print(json.dumps(results))


def compared(medians: dict[str, float], name: str) -> str:
    if name not in medians:
        return "not installed"
    return f"{medians[name]:9,.0f}   shosei is {medians['shosei'] / medians[name]:.2f} times that"


@contextmanager
def served(delay_ms: float, core: int = SERVER_CORE) -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("load_server.py")), "0", str(delay_ms)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(server.pid, {core})
    try:
        assert server.stdout
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()


def shosei(url: str, stream: bool, seconds: float) -> float:
    with loaded(url, "--concurrency", str(IN_FLIGHT), "--seconds", str(seconds), stream=stream, warmup_s=1) as folder:
        log = read_log(folder / "log")
        done = [request.done_ns for request in log.of(Request) if not request.error]  # read from the folder's files
    steady = next(window for window in log.of(Window) if window.name == "steady")
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
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    ) % (len(body), body)
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


def start_s(name: str, url: str, turns: int) -> float | None:
    """Seconds from a command's start to the first request that the server saw, median; None without a command."""
    if name == "raw":
        return None
    taken = []
    for _ in range(turns):
        begin = time.monotonic()
        if CLIENTS[name](url, True, 1) is None:
            return None
        with urllib.request.urlopen(f"{url}/first") as answer:
            taken.append(json.load(answer) - begin)
    return statistics.median(taken)


def ttft_bias_ms(url: str, seconds: float) -> float:
    """Medians of the time to the first token: that of ``shosei load``, from the schedule, less a raw client's."""
    with loaded(url, "--rate", "20", "--arrival", "constant", "--seconds", str(seconds)) as folder:
        requests = read_log(folder / "log").of(Request)
    ours = statistics.median((request.first_token_ns - request.scheduled_ns) / 1e6 for request in requests)
    return ours - statistics.median(raw_ttft_ms(url, len(requests)))


def raw_ttft_ms(url: str, count: int) -> list[float]:
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps(BODY | {"stream": True}).encode()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    ) % (len(body), body)
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


CLIENTS: dict[str, Callable[[str, bool, float], float | None]] = {
    "shosei": shosei,
    "raw": raw,
    **{name: functools.partial(load_peers.rate, name, in_flight=IN_FLIGHT) for name in load_peers.COMMANDS},
}

if __name__ == "__main__":
    main()
