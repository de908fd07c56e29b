"""What the gateway costs: ``python bench/gateway.py [SECONDS] [TURNS]``.

The raw client and the server behind ``shosei gateway`` have core 0; the gateway, which records into a run folder, has
core 1. So has the server that is asked directly (``bench/load_server.py``, too): what the scheduler and busy neighbours
add to a hop between cores is in both. By turns: at 200 requests a second, the time from sending a request to the last
byte of its answer; with 32 in flight, the highest rate, also as answers per second of the gateway's processor time.
Prints medians over the turns; the last line is JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import uvloop
from load import BODY, SHOSEI, raw, served

RATE = 200
CORE, OTHER_CORE = 1, 0
PERCENTILES = (50, 99)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    os.sched_setaffinity(0, {OTHER_CORE})
    results: dict[str, object] = {}
    with served(0, CORE) as server, served(0, OTHER_CORE) as behind, gateway(behind) as (process, proxy):
        for kind in ("whole", "streams"):
            found: dict[str, list[list[float]]] = {"direct": [], "gateway": []}
            for _ in range(turns):
                for name, url in (("direct", server), ("gateway", proxy)):
                    found[name].append(uvloop.run(latencies_ms(url, kind == "streams", seconds)))
            for percent in PERCENTILES:
                direct, through = (median_of(found[name], percent) for name in ("direct", "gateway"))
                results[f"{kind}_p{percent}_added_ms"] = through - direct
                print(
                    f"{kind}, p{percent} at {RATE}/s: {direct:.3f} ms direct, {through:.3f} ms through the gateway, "
                    f"{through - direct:.3f} ms added"
                )
        for kind in ("whole", "streams"):
            rates: dict[str, list[float]] = {"direct": [], "gateway": [], "gateway, by processor time": []}
            for _ in range(turns):
                rates["direct"].append(raw(server, kind == "streams", seconds))
                before = cpu_s(process)
                rates["gateway"].append(rate := raw(proxy, kind == "streams", seconds))
                rates["gateway, by processor time"].append(rate * seconds / (cpu_s(process) - before))
            for name, found_rates in rates.items():
                results[f"{kind} a second, {name}"] = statistics.median(found_rates)
                print(f"{kind} a second, {name}: {statistics.median(found_rates):,.0f}")
    print(json.dumps(results))


def median_of(turns: list[list[float]], percent: int) -> float:
    return statistics.median(statistics.quantiles(taken, n=100, method="inclusive")[percent - 1] for taken in turns)


@contextmanager
def gateway(upstream: str) -> Iterator[tuple[psutil.Process, str]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [*SHOSEI, "gateway", "--upstream", upstream, "--run", folder, "--port", "0", "--json"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {CORE})
        )
        try:
            assert process.stdout
            url = json.loads(process.stdout.readline())["url"]
            yield psutil.Process(process.pid), url
        finally:
            process.terminate()
            process.wait()


def cpu_s(process: psutil.Process) -> float:
    """Seconds of processor time that the process has had: what a busy neighbour takes is not in them."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def latencies_ms(url: str, stream: bool, seconds: float) -> list[float]:
    """Milliseconds from sending a request to its answer's last byte, at a constant rate over kept connections."""
    body = json.dumps(BODY | {"stream": stream}).encode()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    ) % (len(body), body)
    last = b"0\r\n\r\n" if stream else b"}"
    host, port = url.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    idle: list[Place] = []
    taken: list[float] = []

    class Place(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def ask(self) -> None:
            self.begin = time.perf_counter()
            self.transport.write(request)

        def data_received(self, data: bytes) -> None:
            if data.endswith(last):
                taken.append((time.perf_counter() - self.begin) * 1000)
                idle.append(self)

    start = loop.time()
    count = int(seconds * RATE)
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / RATE - loop.time()))
        place = idle.pop() if idle else (await loop.create_connection(Place, host, int(port)))[1]
        place.ask()
    while len(taken) < count:
        await asyncio.sleep(0.001)
    return taken


if __name__ == "__main__":
    main()
