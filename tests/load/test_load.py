"""The load generator against servers whose behaviour is known, and against scipy for its schedule."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from scipy import stats

from load_server import CHUNK, CLOSED, load, served, stream
from shosei.errors import InputError
from shosei.load import LoadConfig, check
from shosei.load.prompts import order, read_prompts
from shosei.load.schedule import poisson
from shosei.load.watch import Watch
from shosei.log import ClientLimit, Note, Request, Sample, Window
from shosei.wire.suite import Task, write_suite


def test_arrivals_are_a_poisson_process() -> None:
    due = poisson(20.0, 500.0, seed=3)
    assert abs(len(due) - 10_000) < 4 * np.sqrt(10_000)
    assert (np.diff(due) > 0).all()
    assert due[0] >= 0
    assert due[-1] < 500
    assert stats.kstest(np.diff(due), stats.expon(scale=1 / 20).cdf).pvalue > 0.01
    counts = np.bincount(due.astype(int), minlength=500)
    assert 0.8 < counts.var() / counts.mean() < 1.25  # dispersion 1
    assert (poisson(20.0, 500.0, seed=3) == due).all()
    assert not np.array_equal(poisson(20.0, 500.0, seed=4)[:10], due[:10])


def test_a_stall_shows_in_the_latencies_of_all_who_came_during_it(tmp_path: Path) -> None:
    stall = {"begin": 0.0, "end": 0.0}
    latency_s, stalled_s = 0.05, 2.0

    async def behave(number: int, request: web.Request) -> None:
        now = time.monotonic()
        if not stall["begin"]:
            stall.update(begin=now + 1, end=now + 1 + stalled_s)
        if stall["begin"] <= now < stall["end"]:
            await asyncio.sleep(stall["end"] - now)
        await asyncio.sleep(latency_s)

    with served(behave) as server:
        requests = load(tmp_path, server.url, rate=20, seconds=4).of(Request)
    due = np.array([request.scheduled_ns for request in requests]) / 1e9
    measured = np.array([request.done_ns for request in requests]) / 1e9 - due
    queued = np.where((stall["begin"] <= due) & (due < stall["end"]), stall["end"] - due, 0.0) + latency_s
    assert not any(request.error for request in requests)
    for percent in (50, 90, 99):
        assert np.percentile(measured, percent) == pytest.approx(np.percentile(queued, percent), abs=0.15)
    assert np.percentile(measured, 90) > 1.0
    assert all(request.sent_ns >= request.scheduled_ns for request in requests)
    # Open loop: as many went out during the stall as outside it.
    during = sum(stall["begin"] <= request.sent_ns / 1e9 < stall["end"] for request in requests)
    assert 20 < during < 65


def test_errors_are_counted_by_type(tmp_path: Path) -> None:
    pattern = ["", "429", "5xx", "cut stream", "context limit", "4xx", "connect", "5xx", "empty"]

    async def behave(number: int, request: web.Request) -> web.StreamResponse | None:
        match number % len(pattern):
            case 1:
                return web.json_response({"error": {"message": "slow down"}}, status=429)
            case 2:
                return web.Response(text="oops", status=500)
            case 3:
                response = await stream(request, CHUNK)
                request.transport.abort()
                return response
            case 4:
                return web.json_response({"error": {"message": "", "code": "context_length_exceeded"}}, status=400)
            case 5:
                return web.json_response({"error": {"message": "no"}}, status=404)
            case 6:
                request.transport.abort()
            case 7:
                return await stream(request, b'data: {"error":{"message":"engine lost"}}\n\n')
            case 8:
                return await stream(request, b"data: [DONE]\n\n")
        return None

    with served(behave) as server:
        requests = load(tmp_path, server.url).of(Request)
    expected = Counter(pattern[number % len(pattern)] for number in range(len(requests)))
    assert len(requests) == len(server.bodies) == len(poisson(50, 1, 0))
    assert Counter(request.error for request in requests) == expected
    assert {request.purpose for request in requests} == {"load"}
    answered = [request for request in requests if not request.error]
    assert {(request.tokens_in, request.tokens_out, request.status) for request in answered} == {(3, 2, 200)}
    assert all(r.scheduled_ns <= r.sent_ns <= r.first_byte_ns <= r.first_token_ns <= r.done_ns for r in answered)


def test_a_server_that_is_gone_fails_every_request(tmp_path: Path) -> None:
    requests = load(tmp_path, CLOSED).of(Request)
    assert [request.error for request in requests] == ["connect"] * len(poisson(50, 1, 0))


@pytest.mark.parametrize("concurrency", [None, 2])
def test_what_the_drain_leaves_unanswered_is_a_timeout(tmp_path: Path, concurrency: int | None) -> None:
    async def behave(number: int, request: web.Request) -> None:
        if number >= 10:
            await asyncio.sleep(600)

    with served(behave) as server:
        log = load(tmp_path, server.url, drain_s=0.3, concurrency=concurrency)
    requests = log.of(Request)
    assert Counter(request.error for request in requests) == {"": 10, "timeout": len(poisson(50, 1, 0)) - 10}
    sent = sum(request.sent_ns is not None for request in requests)
    assert sent == len(server.bodies) == (12 if concurrency else len(requests))
    windows = {window.name: window for window in log.of(Window)}
    assert windows["drain"].end_ns - windows["drain"].begin_ns >= 300_000_000


def test_windows_follow_the_schedule_and_the_client_watches_itself(tmp_path: Path) -> None:
    with served() as server:
        log = load(tmp_path, server.url, warmup_s=0.5, seconds=1)
    warmup, steady, drain = log.of(Window)
    assert [window.name for window in (warmup, steady, drain)] == ["warmup", "steady", "drain"]
    assert warmup.end_ns - warmup.begin_ns == 500_000_000
    assert steady.end_ns - steady.begin_ns == 1_000_000_000
    assert (warmup.end_ns, steady.end_ns) == (steady.begin_ns, drain.begin_ns)
    requests = log.of(Request)
    assert warmup.begin_ns <= min(request.scheduled_ns for request in requests)
    assert max(request.scheduled_ns for request in requests) < steady.end_ns
    assert max(request.done_ns for request in requests) <= drain.end_ns
    cpu = [sample.cpu_ns for sample in log.of(Sample) if (sample.scope, sample.name) == ("self", "load")]
    assert len(cpu) >= 2
    assert cpu == sorted(cpu)
    assert "event-loop lag" in log.of(Note)[0].text


def test_a_client_that_is_too_busy_says_so() -> None:
    well = Watch.judge([0.001] * 100, cpu=0.5)
    assert (well.limit, "client-bound" in well.line) == (None, False)
    late, short = Watch.judge([0.001] * 95 + [0.2] * 5, cpu=0.5), Watch.judge([0.001] * 100, cpu=0.95)
    assert (late.limit, short.limit) == (ClientLimit("time", 200, 0.5), ClientLimit("time", 1, 0.95))
    for verdict in (late, short):
        assert "client-bound" in verdict.line
        assert "fewer requests a second, or the client on another machine" in verdict.line


@pytest.mark.parametrize("limit", [0.0, 1e9])
def test_a_steady_window_says_that_the_client_was_its_bottleneck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float
) -> None:
    monkeypatch.setattr("shosei.load.watch.CPU_LIMIT", limit)
    monkeypatch.setattr("shosei.load.watch.LAG_LIMIT_MS", 1e9)
    with served() as server:
        log = load(tmp_path, server.url, warmup_s=0.1, seconds=0.3)
    (note,) = log.of(Note)
    bound = limit == 0
    assert [window.invalid for window in log.of(Window)] == ["", note.text if bound else "", ""]
    assert ("client-bound" in note.text) == bound
    limits = [window.client for window in log.of(Window)]
    assert [limit and limit.lacked for limit in limits] == [None, "time" if bound else None, None]


def test_the_same_seed_asks_the_same(tmp_path: Path) -> None:
    messages = [[{"role": "user", "content": f"{number}は漢字で"}] for number in range(7)]
    tasks = [
        Task(id=f"n/{i}", suite="n", lang="ja", cluster=str(i), messages=message, grader="exact", truth="")
        for i, message in enumerate(messages)
    ]
    write_suite(tmp_path / "suites" / "n.jsonl", tasks)
    with served() as server:
        for attempt, stream in enumerate((True, False)):
            load(tmp_path / str(attempt), server.url, suite=tmp_path / "suites", stream=stream, seed=5)
    half = len(server.bodies) // 2
    asked = [body["messages"] for body in server.bodies]
    # Two requests may be due within a moment and overtake each other.
    assert sorted(map(str, asked[:half])) == sorted(map(str, asked[half:]))
    counts = Counter(map(str, asked[:half]))
    assert set(counts) == set(map(str, messages))
    assert max(counts.values()) - min(counts.values()) <= 1
    first, last = server.bodies[0], server.bodies[-1]
    assert first["stream_options"] == {"include_usage": True}
    assert (last["stream"], last["temperature"], last["model"], last["max_tokens"]) == (False, 0, "mock", 64)
    assert {header["x-shosei-purpose"] for header in server.headers} == {"load"}
    assert sorted(order(7, seed=1)) == list(range(7)) != order(7, seed=1) == order(7, seed=1)


def test_prompts_come_from_any_file_with_messages(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"messages":[{"role":"user","content":"你好"}],"lang":"zh"}\n\n', encoding="utf-8")
    assert read_prompts(file) == [[{"role": "user", "content": "你好"}]]
    assert read_prompts(None)
    file.write_text('{"messages":[]}\n{"prompt":"x"}\n')
    with pytest.raises(InputError, match=r"prompts\.jsonl:2"):
        read_prompts(file)
    with pytest.raises(InputError, match="cannot read"):
        read_prompts(tmp_path / "none.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no"):
        read_prompts(tmp_path / "empty")


def test_the_model_is_the_first_that_is_served() -> None:
    with served() as server:
        assert asyncio.run(check(LoadConfig(), server.url)).model == "mock"
        assert asyncio.run(check(LoadConfig(model="other"), server.url)).model == "other"
