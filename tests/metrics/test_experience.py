"""Response time and satisfaction on hand-written logs, against scipy, numpy and figures worked out by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy

from handwritten import MS, S, at, log_of, metric, start, table
from load_server import CHUNK, LAST, load, served, stream
from shosei.card.words import translated
from shosei.log import Event, Fault, Log, Rating, Request, RunBegin, Section, Step, Window
from shosei.metrics.stats import wilson, wilson_clustered


def request(seconds: float, took_ms: float, **fields: Any) -> Event:
    """A streamed answer of 11 tokens, the first of them after a quarter of the time."""
    scheduled = round(seconds * S)
    streamed = fields.get("stream", True) and not fields.get("error")
    defaults = {
        "id": f"r{seconds}",
        "purpose": "load",
        "seen_by": "client",
        "stream": True,
        "tokens_out": 11,
        "first_token_ns": scheduled + round(took_ms / 4 * MS) if streamed else None,
        "longest_gap_ns": round(took_ms / 8 * MS) if streamed else None,
    }
    done = scheduled + round(took_ms * MS)
    made = Request(scheduled_ns=scheduled, sent_ns=scheduled, done_ns=done, phase="inference", **defaults | fields)
    return at(seconds + took_ms / 1e3, made)


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


def rating(seconds: float, rater: str, value: int | None, **fields: Any) -> Event:
    defaults = {"rater_kind": "person", "scale": "stars", "request": f"r{seconds}", "phase": "inference"}
    return at(seconds, Rating(rater=rater, value=value, **defaults | fields))


def test_share_of_satisfied_ratings_clustered_by_rater() -> None:
    stars = {"a": [5, 5, 4, 1], "b": [2, 3], "c": [4], "d": [1, 1, 1, 5, 3]}
    events = [rating(10 * n + k, who, value) for n, who in enumerate(stars) for k, value in enumerate(stars[who])]
    events += [rating(90, "e", 1, scale="thumbs"), rating(91, "e", 0, scale="thumbs")]
    found = metric(log_of(*events), "satisfaction", "inference")
    assert (found.value, found.n, found.clusters) == (pytest.approx(6 / 14), 14, 5)
    marks = [[float(value >= 4) for value in values] for values in stars.values()] + [[1.0, 0.0]]
    assert found.ci == pytest.approx(wilson_clustered(marks))
    mean = found.figures["mean_stars"]
    assert mean.value == pytest.approx(np.mean([value for values in stars.values() for value in values]))
    assert mean.n == 4
    assert table(found, "Ratings given")["5 of 5 stars"] == [3, 0]
    assert table(found, "Ratings given")["thumb down"] == [1, 0]


def test_mean_stars_are_resampled_by_rater() -> None:
    """Raters who always give the same say less than as many ratings by people of their own."""
    random = np.random.default_rng(5)
    given = {f"r{n}": [int(random.integers(1, 6))] * int(random.integers(2, 5)) for n in range(40)}
    events = [rating(k + n / 100, who, value) for n, who in enumerate(given) for k, value in enumerate(given[who])]
    figure = metric(log_of(*events), "satisfaction", "inference").figures["mean_stars"]
    sums, counts = (np.array([f(values) for values in given.values()]) for f in (sum, len))
    drawn = random.integers(0, 40, (4000, 40))
    resampled = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    assert figure.ci == pytest.approx(np.percentile(resampled, [2.5, 97.5]), abs=0.1)
    values = [value for one in given.values() for value in one]
    assert figure.ci
    assert (figure.ci[1] or 0) - (figure.ci[0] or 0) > 1.4 * 2 * 1.96 * scipy.sem(values)


def test_an_interval_of_stars_stays_among_the_stars() -> None:
    events = [rating(n, f"r{n}", 5 if n else 1) for n in range(8)]
    low, high = metric(log_of(*events), "satisfaction", "inference").figures["mean_stars"].ci or (None, None)
    assert 1 <= (low or 0) <= 4.5 <= (high or 0) <= 5


def test_the_last_rating_of_an_answer_counts_and_silence_takes_nothing_back() -> None:
    day = 86_400 * S
    events = [
        rating(1, "a", 1, request="x"),
        rating(2, "a", 5, request="x"),  # changed
        rating(3, "a", None, request="x"),  # asked again
        rating(4, "a", 2, request="x", turn=1),  # another turn
        rating(5, "b", 5, request="y", rated_wall_ns=2 * day),
        rating(6, "b", 1, request="y", rated_wall_ns=day),
        rating(7, "c", None, request="z"),
    ]
    found = metric(log_of(*events), "satisfaction", "inference")
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)
    assert found.figures["response_rate"].value == 3 / 4


def test_response_rate_shows_what_it_is_a_share_of() -> None:
    chats = [request(second, 50, purpose="chat", seen_by="server", id=f"c{second}") for second in range(20)]
    chats += [request(21, 50, purpose="chat", seen_by="server", id="failed", error="5xx")]
    events = [rating(30 + k, f"u{k}", value, request=f"c{k}") for k, value in enumerate([5, 4, None, None])]
    found = metric(log_of(*chats, *events), "satisfaction", "inference")
    rows = table(found, "Response rate of people")
    assert rows["ratings given, of ratings asked for"][:3] == [2, 4, 0.5]
    assert rows["chat answers rated, of chat answers served"][:3] == [2, 20, 0.1]
    assert rows["chat answers rated, of chat answers served"][3:] == pytest.approx(wilson(2, 20))
    always = metric(log_of(*events[:2]), "satisfaction", "inference")
    assert always.figures["response_rate"].value is None, "only answers leave a trace: 100 % would say nothing"
    assert any("answered / asked" in str(note) for note in always.notes)


def test_a_rating_of_nothing_served_is_no_response() -> None:
    chats = [request(second, 50, purpose="chat", seen_by="server", id=f"c{second}") for second in range(20)]
    events = [rating(30, "a", 5, request="c1"), rating(31, "b", 5, request="nope"), rating(32, "c", 1, request="")]
    found = metric(log_of(*chats, *events), "satisfaction", "inference")
    assert (found.n, found.value) == (3, pytest.approx(2 / 3)), "it may be of an answer before a restart"
    assert table(found, "Response rate of people")["chat answers rated, of chat answers served"][:3] == [1, 20, 0.05]
    assert any("1 of 3 ratings name an answer that is not in" in translated(note) for note in found.notes)
    imported = metric(log_of(*events), "satisfaction", "inference")
    assert any("2 of 3 ratings name an answer that is not in" in translated(note) for note in imported.notes), (
        "whoever served: what is named is in the log, or nobody can tell that it was ever given"
    )


def test_model_judges_stand_beside_people_and_never_for_them() -> None:
    judged = [rating(50 + k, "judge", 5, rater_kind="model") for k in range(10)]
    both = metric(log_of(rating(1, "a", 1), rating(2, "b", 5), *judged), "satisfaction", "inference")
    assert (both.value, both.n) == (0.5, 2)
    assert table(both, "People and model judges")["model judges"][:3] == [10, 1, 1.0]
    alone = metric(log_of(*judged), "satisfaction", "inference")
    assert (alone.status, alone.value) == ("not_measured", None)
    assert "only model judges" in str(alone.reason)
    assert table(alone, "People and model judges")["model judges"][:3] == [10, 1, 1.0]


def test_people_who_were_asked_and_said_nothing_are_no_zero() -> None:
    found = metric(log_of(rating(1, "a", None), rating(2, "b", None)), "satisfaction", "inference")
    assert (found.status, found.value) == ("not_measured", None)


def test_tags_by_how_often_they_were_given() -> None:
    events = [rating(1, "a", 5, tags=["快", "礼貌"]), rating(2, "b", 1, tags=["快", "快"]), rating(3, "c", 5)]
    found = metric(log_of(*events), "satisfaction", "inference")
    assert table(found, "Tags by people") == {"快": [2, 0.5], "礼貌": [1, 1.0]}


ratings = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.integers(1, 5), st.sampled_from("xyz"), st.booleans()),
    min_size=1,
    max_size=30,
)


@given(ratings)
def test_taking_the_same_ratings_twice_changes_nothing(given_ratings: list[tuple[str, int | None, str, bool]]) -> None:
    def events(begin: int) -> list[Event]:
        return [
            rating(begin + k, who, value, request=request, rater_kind="person" if person else "model")
            for k, (who, value, request, person) in enumerate(given_ratings)
        ]

    once = metric(log_of(*events(0)), "satisfaction", "inference")
    twice = metric(log_of(*events(0), *events(100)), "satisfaction", "inference")
    assert (twice.value, twice.n, twice.figures) == (once.value, once.n, once.figures)


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
