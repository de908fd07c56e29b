"""The load generator against what the server itself saw, by the same clock."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from load_server import CHUNK, LAST, load, served, stream
from shosei.log import Request
from shosei.metrics.cells import compute

DONE = b"data: [DONE]\n\n"


def test_a_token_is_timed_when_it_comes(tmp_path: Path) -> None:
    received, written = [], []

    async def behave(number: int, request: web.Request) -> web.StreamResponse:
        received.append(time.monotonic_ns())
        await asyncio.sleep(0.05)
        written.append(time.monotonic_ns())
        return await stream(request, CHUNK, LAST, DONE)

    with served(behave) as server:
        requests = load(tmp_path, server.url, rate=20, seconds=2, arrival="constant").of(Request)
    assert len(requests) == len(written) == 40
    late_ms = np.array([(r.first_token_ns - at) / 1e6 for r, at in zip(requests, written, strict=True)])
    assert (late_ms > 0).all()
    assert np.median(late_ms) < 5
    assert all(r.sent_ns < at for r, at in zip(requests, received, strict=True))


def queued(due: Sequence[float], service: Sequence[float], places: int) -> list[float]:
    """Latencies of a queue that serves in order: each waits for the place that is free first."""
    free = [0.0] * places
    latencies = []
    for moment, duration in zip(due, service, strict=True):
        end = max(moment, heapq.heappop(free)) + duration
        heapq.heappush(free, end)
        latencies.append(end - moment)
    return latencies


def test_a_stall_behind_a_cap_shows_as_the_queue_that_it_makes(tmp_path: Path) -> None:
    places, stalled_s = 8, 2.0
    begun: list[float] = []
    ended: dict[int, float] = {}

    async def behave(number: int, request: web.Request) -> web.StreamResponse:
        begun.append(now := time.monotonic())
        stall = begun[0] + 1
        if stall <= now < stall + stalled_s:
            await asyncio.sleep(stall + stalled_s - now)
        await asyncio.sleep(0.05)
        response = await stream(request, CHUNK, LAST, DONE)
        ended[number] = time.monotonic()
        return response

    with served(behave) as server:
        log = load(tmp_path, server.url, rate=30, seconds=4, concurrency=places)
    requests = sorted(log.of(Request), key=lambda request: request.scheduled_ns)
    assert not any(request.error for request in requests)
    measured = [(request.done_ns - request.scheduled_ns) / 1e9 for request in requests]
    service = [ended[number] - begin for number, begin in enumerate(begun)]
    truth = queued([request.scheduled_ns / 1e9 for request in requests], service, places)
    p90 = float(np.percentile(truth, 90))
    assert p90 > 1
    assert abs(np.percentile(measured, 90) - p90) < 0.1 * p90
    # What a client says that starts its clock at the send.
    sent = [(request.done_ns - request.sent_ns) / 1e9 for request in requests]
    assert np.percentile(sent, 50) < 0.5 * np.percentile(measured, 90)


def test_a_server_that_fails_every_tenth_request_is_not_saturated_and_one_that_queues_is(tmp_path: Path) -> None:
    async def fails(number: int, request: web.Request) -> web.Response | None:
        if number % 10 == 0:
            return web.json_response({"error": {"message": "internal"}}, status=500)
        await asyncio.sleep(0.1)
        return None

    one_at_a_time = asyncio.Semaphore(1)

    async def queues(number: int, request: web.Request) -> None:
        async with one_at_a_time:
            await asyncio.sleep(0.065)

    signs = {}
    for name, behave in (("fails", fails), ("queues", queues)):
        with served(behave) as server:
            log = load(tmp_path / name, server.url, rate=20, seconds=6, arrival="constant")
        speed = next(cell for cell in compute(log) if (cell.id, cell.phase) == ("inference_speed", "inference"))
        signs[name] = speed.figures["saturated"].value, speed.figures["achieved_over_offered"].value or 0.0
    assert signs["fails"] == (0.0, pytest.approx(0.9, abs=0.05))
    saturated, kept = signs["queues"]
    assert saturated == 1.0
    assert kept < 0.8, "fifteen a second at most, of twenty"
