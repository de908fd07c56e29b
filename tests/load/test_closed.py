"""Closed loops, worker processes, and the search for the highest rate, as processes against a server."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from load_server import CLOSED, SHOSEI, load, served
from shosei.log import Log, Note, Request, RunBegin, Window, read_log
from shosei.metrics.cells import compute
from shosei.metrics.performance.max_rate import max_rate
from shosei.metrics.service_level import ServiceLevel


def shosei_load(folder: Path, url: str, *arguments: str) -> tuple[dict[str, object], Log]:
    command = [SHOSEI, "load", url, "--run", str(folder), "--set", "load.warmup_s=0.2", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return json.loads(done.stdout), read_log(folder / "log")


def test_places_without_a_rate_are_a_closed_loop(tmp_path: Path) -> None:
    under_way, most = 0, 0

    async def behave(number: int, request: web.Request) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1

    with served(behave) as server:
        values, log = shosei_load(tmp_path, server.url, "--concurrency", "4", "--seconds", "1")
    requests = log.of(Request)
    assert most == 4
    assert values["answered"] == len(requests) == len(server.bodies) > 8
    assert log.of(RunBegin)[0].arrival == "closed"
    steady = log.of(Window)[1]
    assert all(request.sent_ns - request.scheduled_ns >= 0 for request in requests)
    assert max(request.scheduled_ns for request in requests) < steady.end_ns
    response = next(m for m in compute(log) if (m.id, m.phase) == ("response_time", "inference"))
    assert "service_time" in str(response.detail)


def test_a_closed_loop_does_not_hammer_a_server_that_is_gone(tmp_path: Path) -> None:
    log = load(tmp_path, CLOSED, arrival="closed", concurrency=3)
    requests = log.of(Request)
    assert {request.error for request in requests} == {"connect"}
    assert 3 <= len(requests) <= 3 * 11


def test_a_trace_and_conversations_reach_the_server(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("".join(f"{number * 0.05}\n" for number in range(20)))
    with served() as server:
        options = ["--trace", str(trace), "--seconds", "1", "--continue-share", "1", "--prompt-characters", "30"]
        _, log = shosei_load(tmp_path / "run", server.url, *options)
    requests = log.of(Request)
    gaps_ns = {b.scheduled_ns - a.scheduled_ns for a, b in itertools.pairwise(requests)}
    assert len(requests) == len(server.bodies) == 20
    assert max(gaps_ns) - min(gaps_ns) <= 10
    turns = [len(body["messages"]) for body in server.bodies]
    assert turns[0] == 1
    assert max(turns) == 7
    continued = next(body["messages"] for body in server.bodies if len(body["messages"]) == 3)
    assert continued[1] == {"role": "assistant", "content": "你你"}
    assert all(len(body["messages"][-1]["content"]) == 30 for body in server.bodies)


def test_workers_share_one_schedule_and_one_window(tmp_path: Path) -> None:
    with served() as server:
        alone = load(tmp_path / "alone", server.url, warmup_s=0.2, rate=60, seed=7).of(Request)
        bodies = Counter(map(str, server.bodies))
        server.bodies.clear()
        options = ["--rate", "60", "--seconds", "1", "--workers", "3", "--seed", "7", "--concurrency", "30"]
        values, log = shosei_load(tmp_path / "run", server.url, *options, "--set", "load.model=mock")
    requests = sorted(log.of(Request), key=lambda request: request.scheduled_ns)
    assert len(requests) == len(alone) == values["sent"] == values["answered"]
    assert Counter(map(str, server.bodies)) == bodies
    begin, begin_alone = requests[0].scheduled_ns, min(request.scheduled_ns for request in alone)
    due = [request.scheduled_ns - begin for request in requests]
    assert due == sorted(request.scheduled_ns - begin_alone for request in alone)
    assert len({request.pid for request in requests}) == len(list((tmp_path / "run" / "log").iterdir())) - 1 == 3
    assert [window.name for window in log.of(Window)] == ["warmup", "steady", "drain"]
    assert len([note for note in log.of(Note) if "event-loop lag" in note.text]) == 3


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_an_ended_load_leaves_no_worker(signum: signal.Signals, tmp_path: Path) -> None:
    with served() as server:
        command = [SHOSEI, "load", server.url, "--run", str(tmp_path), "--rate", "40", "--workers", "2"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ))
        deadline = time.monotonic() + 60
        while len(server.bodies) < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        workers = psutil.Process(process.pid).children()
        process.send_signal(signum)
        output, _ = process.communicate(timeout=60)
        gone, alive = psutil.wait_procs(workers, timeout=20)
    assert (len(gone), alive) == (2, [])
    log = read_log(tmp_path / "log")
    if signum == signal.SIGTERM:
        assert process.returncode == 128 + signum
        assert b"answered" in output
        assert [window.name for window in log.of(Window)] == ["warmup"]
        assert len(log.of(Request)) >= 20


def test_a_worker_that_dies_ends_the_load(tmp_path: Path) -> None:
    with served() as server:
        command = [SHOSEI, "load", server.url, "--run", str(tmp_path), "--rate", "40", "--workers", "2"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while len(server.bodies) < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        psutil.Process(process.pid).children()[0].kill()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "a worker of the load ended with exit code -9" in errors.decode().splitlines()[-1]


def test_the_highest_rate_is_found_and_the_card_tells_it_from_the_log(tmp_path: Path) -> None:
    one_at_a_time: list[asyncio.Lock] = []

    async def behave(number: int, request: web.Request) -> None:
        if not one_at_a_time:
            one_at_a_time.append(asyncio.Lock())
        async with one_at_a_time[0]:
            await asyncio.sleep(0.005)  # 200 a second at most

    with served(behave) as server:
        options = ["--rate", "80", "--arrival", "constant", "--seconds", "1", "--find-max"]
        values, log = shosei_load(tmp_path, server.url, *options, "--set", "load.probe_s=0.5")
    probes = [window for window in log.of(Window) if window.name == "probe"]
    assert len(probes) > 3
    assert values["max_rate"] in [probe.rate for probe in probes]
    assert 0 < values["max_rate"] <= 200
    found = max_rate(log, ServiceLevel())
    assert found is not None
    assert found.figure.value == values["max_rate"]
    speed = next(m for m in compute(log) if (m.id, m.phase) == ("inference_speed", "inference"))
    assert speed.figures["max_rate"].value == pytest.approx(values["max_rate"])
    assert speed.figures["offered"].value == 80  # the probes are not part of the load


def test_a_client_without_connections_blames_itself(tmp_path: Path) -> None:
    async def behave(number: int, request: web.Request) -> None:
        await asyncio.sleep(2 if number % 4 else 0)

    options = ["--rate", "100", "--seconds", "1", "--set", "load.warmup_s=0", "--set", "load.drain_s=4"]
    with served(behave) as server:
        command = ["bash", "-c", 'ulimit -n 50; exec "$@"', "", SHOSEI, "load", server.url, "--run", str(tmp_path)]
        subprocess.run([*command, *options], capture_output=True, timeout=60, check=True)
    log = read_log(tmp_path / "log")
    errors = Counter(request.error for request in log.of(Request))
    assert set(errors) == {"", "cancelled"}
    assert errors["cancelled"] > 10
    steady = next(window for window in log.of(Window) if window.name == "steady")
    assert "out of connections" in steady.invalid
    speed = next(m for m in compute(log) if (m.id, m.phase) == ("inference_speed", "inference"))
    assert speed.status == "invalid"
