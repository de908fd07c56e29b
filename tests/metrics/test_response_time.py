"""Response time on hand-written logs and real loads, against scipy, numpy and figures worked out by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from scipy import stats as scipy

from handwritten import MS, S, at, log_of, metric, request, start, table
from load_server import CHUNK, LAST, load, served, stream
from shosei.log import Event, Fault, Log, Request, RunBegin, Section, Step, Window


def window(seconds: float) -> Event:
    return at(seconds, Window(name="steady", begin_ns=0, end_ns=round(seconds * S), phase="inference"))


TIMES = [float(value) for value in np.random.default_rng(3).gamma(4, 25, 400).round(3)]


@pytest.fixture(scope="module")
def loaded() -> Log:
    """400 answers in 40 s, and requests that must not count: outside the window, cancelled, of an exam."""
    return log_of(
        window(40),
        *[request(index / 10, took) for index, took in enumerate(TIMES)],
        request(41, 9e3),
        request(5.05, 9e3, error="cancelled"),
        request(6.05, 9e3, purpose="exam"),
    )


def test_mean_and_percentiles_over_the_successes(loaded: Log) -> None:
    found = metric(loaded, "response_time", "inference")
    assert (found.status, found.n, found.clusters) == ("ok", 400, 40)
    assert found.value == pytest.approx(np.mean(TIMES))
    for percent in (50, 90, 95, 99):
        figure = found.figures[f"p{percent}"]
        assert figure.value == np.percentile(TIMES, percent, method="inverted_cdf")
        assert figure.ci
        assert (figure.ci[0] or 0) <= (figure.value or 0) <= (figure.ci[1] or np.inf)
    batches = np.array(TIMES).reshape(40, 10).mean(axis=1)
    assert found.ci == pytest.approx(scipy.t.interval(0.95, 39, np.mean(batches), scipy.sem(batches)), rel=0.02)


def test_requests_during_an_injected_fault_are_left_out_and_counted() -> None:
    slow = [request(second, 5000) for second in range(20, 30)]
    drill = at(30, Fault(name="stall", begin_ns=20 * S, end_ns=30 * S, phase="inference"))
    usual = [request(second / 2, 100) for second in [*range(40), *range(60, 80)]]
    found = metric(log_of(window(40), drill, *usual, *slow), "response_time", "inference")
    assert (found.value, found.n) == (100.0, 60)
    assert "10 requests that were scheduled during an injected fault are left out" in found.notes


def test_first_token_and_inter_token_times(loaded: Log) -> None:
    figures = metric(loaded, "response_time", "inference").figures
    assert figures["ttft_mean"].value == pytest.approx(np.mean(TIMES) / 4, rel=1e-5)
    assert figures["ttft_p95"].value == pytest.approx(np.percentile(TIMES, 95, method="inverted_cdf") / 4, rel=1e-5)
    assert figures["inter_token_mean"].value == pytest.approx(np.mean(TIMES) * 0.75 / 10, rel=1e-5)
    assert figures["inter_token_p95"].n == 40
    gaps = table(metric(loaded, "response_time", "inference"), "Latency")["longest gap between two pieces"]
    assert gaps[0] == pytest.approx(np.mean(TIMES) / 8, rel=1e-5)


def test_plots_hold_every_answer(loaded: Log) -> None:
    bars, within, over_time = metric(loaded, "response_time", "inference").plots
    assert bars.kind == "bars"
    assert 30 <= len(bars.x) <= 60
    assert sum(count or 0 for count in bars.curves[0].y) == 400
    assert [curve.label for curve in within.curves] == ["response", "time to first token"]
    half = next(x for x, share in zip(within.x, within.curves[0].y, strict=True) if (share or 0) >= 0.5)
    assert half == pytest.approx(np.median(TIMES), rel=0.05)
    assert over_time.x[1] == 1.0
    assert over_time.curves[-1].y[0] == max(TIMES[:10])


def test_a_thinking_model_has_a_first_token_and_later_a_first_answer_token(tmp_path: Path) -> None:
    """A thought, 0.15 s, two pieces of an answer 0.05 s apart, then silence before the count and before the end."""
    thought = b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"\xe6\x83\xb3"}}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":3}}\n\n'

    async def behave(number: int, request: web.Request) -> web.StreamResponse:
        response = await stream(request, thought)
        for seconds, part in ((0.15, CHUNK), (0.05, CHUNK + LAST), (0.3, usage), (0.1, b"data: [DONE]\n\n")):
            await asyncio.sleep(seconds)
            await response.write(part)
        return response

    with served(behave) as server:
        found = metric(load(tmp_path, server.url, rate=10), "response_time", "inference")
    figures = {name: figure.value or 0.0 for name, figure in found.figures.items()}
    assert figures["ttft_mean"] < 150 <= figures["ttfat_mean"] < 200 + figures["ttft_mean"]
    assert 100 <= figures["inter_token_mean"] < 200  # of two gaps; with the silence it would be 300
    assert table(found, "Latency")["time to first answer token, after thoughts"][0] == pytest.approx(
        figures["ttfat_mean"]
    )


SUMMARY = b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"\xe6\x83\xb3"}}]}\n\n'


@pytest.mark.parametrize("shown", [b"", SUMMARY])
def test_hidden_thoughts_are_no_tokens_that_came_fast(tmp_path: Path, shown: bytes) -> None:
    """200 tokens of thoughts, of which at most a summary comes, then three pieces of an answer 50 ms apart."""
    details = b'"completion_tokens_details":{"reasoning_tokens":200}'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":203,%s}}\n\n' % details

    async def behave(number: int, request: web.Request) -> web.StreamResponse:
        response = await stream(request, shown)
        for seconds, part in ((0.1, CHUNK), (0.05, CHUNK), (0.05, CHUNK + LAST), (0, usage + b"data: [DONE]\n\n")):
            await asyncio.sleep(seconds)
            await response.write(part)
        return response

    with served(behave) as server:
        log = load(tmp_path, server.url, rate=10)
    figures = metric(log, "response_time", "inference").figures
    assert 50 <= (figures["inter_token_mean"].value or 0) < 80
    assert (figures["ttft_mean"].value or 0) < 50 if shown else (figures["ttft_mean"].value or 0) >= 100
    answered = [request for request in log.of(Request) if not request.error]
    assert {(request.tokens_out, request.tokens_reasoning) for request in answered} == {(203, 200)}


def test_thoughts_that_all_came_are_timed_with_the_answer() -> None:
    moments = {"first_answer_ns": 8, "last_token_ns": 10}
    both = [
        request(
            second,
            1000,
            tokens_reasoning=6,
            thought_pieces=pieces,
            **{name: round((second + tenths / 10) * S) for name, tenths in moments.items()},
        )
        for second, pieces in ((1, 6), (2, 2))
    ]
    plain = log_of(window(40), both[0]), log_of(window(40), both[1])
    means = [metric(log, "response_time", "inference").figures["inter_token_mean"].value for log in plain]
    assert means == pytest.approx([750 / 10, 200 / 4])


def test_answers_without_thoughts_have_no_second_first_token(loaded: Log) -> None:
    found = metric(loaded, "response_time", "inference")
    assert not [name for name in found.figures if "ttfat" in name]
    assert "time to first answer token, after thoughts" not in table(found, "Latency")


def test_an_answer_in_one_piece_has_no_first_token() -> None:
    answers = [
        request(index / 10, 50, stream=False, first_token_ns=round((index / 10 + 0.05) * S)) for index in range(400)
    ]
    found = metric(log_of(window(40), *answers), "response_time", "inference")
    assert found.figures["ttft_p50"].value is None
    assert found.figures["ttft_mean"].value is None
    assert "time to first token" not in table(found, "Latency")
    assert any("no answer was streamed" in str(note) for note in found.notes)


def test_few_answers_refuse_high_percentiles_and_say_how_many_are_needed() -> None:
    found = metric(log_of(window(40), *[request(index, 50) for index in range(40)]), "response_time", "inference")
    assert [found.figures[f"p{percent}"].value for percent in (50, 90, 95, 99)] == [50, 50, None, None]
    assert "p95 needs n >= 59: it has 40" in found.notes


def test_failures_count_as_answers_that_never_come() -> None:
    answers = [request(index / 10, 50, error="5xx" if index % 20 == 0 else "") for index in range(400)]
    found = metric(log_of(window(40), *answers), "response_time", "inference")
    assert found.figures["p99"].value == 50
    mean, p50, p90, p95, p99, slowest, n = table(found, "Latency")["response, failures unbounded"]
    assert (mean, p50, p90, p95, p99, slowest, n) == (None, 50, 50, 50, None, None, 400)
    assert "unbounded: 20 of 400 requests failed (5.0%)" in found.notes


@pytest.mark.parametrize(("arrival", "words"), [("closed", "service time"), ("poisson", "scheduled send")])
def test_a_closed_loop_measures_service_time(loaded: Log, arrival: str, words: str) -> None:
    log = Log(1, dict(loaded.events))
    log.events[RunBegin] = [RunBegin(verb="load", argv=[], arrival=arrival, config={"concurrency": 4})]
    assert words in str(metric(log, "response_time", "inference").detail)


def test_steps_and_the_way_to_the_first_of_them() -> None:
    steps = [
        at(
            20 + number,
            Step(
                step=number,
                epoch=1,
                samples=1,
                tokens=1,
                duration_ns=900 * MS + number * MS,
                data_wait_ns=0,
                loss=1.0,
                finite=True,
                phase="training",
            ),
        )
        for number in range(1, 101)
    ]
    sections = [
        at(9, Section(name="load", begin_ns=8 * S, end_ns=9 * S, phase="training")),
        at(60, Section(name="checkpoint", begin_ns=59 * S, end_ns=60 * S, phase="training")),
        at(99, Section(name="checkpoint", begin_ns=98 * S, end_ns=99 * S, phase="training")),
    ]
    found = metric(log_of(start(5, 1), *steps, *sections), "response_time", "training")
    assert found.value == pytest.approx(950.5)
    assert [found.figures[f"p{percent}"].value for percent in (50, 90, 95, 99)] == [950, 990, 995, None]
    assert found.figures["first_step_s"].value == 16
    assert found.figures["first_checkpoint_s"].value == 55
    without = metric(log_of(*steps, *sections), "response_time", "training")
    assert without.figures["first_step_s"].value == 13


def test_ranks_take_a_step_together_on_clocks_of_their_own() -> None:
    """Ten steps of eight ranks are ten observations, as long as the slowest rank took."""
    events = [
        at(
            1e6 * rank + number,
            Step(
                step=number,
                epoch=1,
                samples=1,
                tokens=1,
                duration_ns=(100 + rank) * MS,
                data_wait_ns=0,
                loss=1.0,
                finite=True,
                phase="training",
                rank=rank,
                boot=f"boot {rank}",
            ),
        )
        for number in range(1, 11)
        for rank in range(8)
    ]
    loads = [
        at(
            1e6 * rank,
            Section(
                name="load",
                begin_ns=10**15 * rank,
                end_ns=10**15 * rank,
                phase="training",
                rank=rank,
                boot=f"boot {rank}",
            ),
        )
        for rank in range(1, 8)
    ]
    found = metric(log_of(*events, *loads), "response_time", "training")
    assert (found.value, found.n, found.clusters, found.status) == (107, 10, 5, "insufficient")
    assert found.figures["first_step_s"].value == pytest.approx(0.1)


def test_the_client_sees_the_longest_gap_of_a_stream(tmp_path: Path) -> None:
    """Every other answer pauses between its second and third piece."""

    async def behave(number: int, request: web.Request) -> web.StreamResponse:
        response = await stream(request, CHUNK)
        await asyncio.sleep(0.01)
        await response.write(CHUNK)
        if number % 2:
            await asyncio.sleep(0.3)
        await response.write(CHUNK + LAST + b"data: [DONE]\n\n")
        return response

    with served(behave) as server:
        requests = load(tmp_path, server.url, rate=20).of(Request)
    assert not any(request.error for request in requests)
    paused = sum((request.longest_gap_ns or 0) > 200 * MS for request in requests)
    assert paused == len(requests) // 2
    assert all((r.longest_gap_ns or 0) <= (r.done_ns or 0) - (r.first_token_ns or 0) for r in requests)
