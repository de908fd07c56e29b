"""What the front does where the engine dies, is late or has no memory: who is refused, who waits, who never notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve_front import ASK, CONTEXT, TOKENIZER, Front, player, serving
from shosei.engine.client import EngineLost
from shosei.engine.protocol import ClientMessage, Failed, FrameDecoder, Hello, LogitRules, Submit, Token, frame
from shosei.serve import engine_link
from shosei.serve.counters import Counters
from shosei.serve.engine_link import EngineLink
from shosei.serve.exchange import server_access
from shosei.wire.access import AccessRules
from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import ApiKeys

OTHER = {"messages": [{"role": "user", "content": "東京の天気は？"}]}


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    return player(tmp_path)


async def metrics(front: Front) -> dict[tuple[str, ...], float]:
    async with front.http.get(front.url + "/metrics") as response:
        families = list(text_string_to_metric_families(await response.text()))
    return {
        (sample.name, *(value for name, value in sample.labels.items() if name != "model_name")): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_the_engine_died_of_twice_is_refused_and_nothing_else_is(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        front.engine.after = "vanish"
        for _ in range(2):
            status, body = await front.post(ASK)
            assert (status, body["error"]["code"]) == (503, "engine_lost")
        front.engine.after = "end"
        status, body = await front.post(ASK)
        assert (status, body["error"]["code"]) == (400, "quarantined")
        assert "died twice" in body["error"]["message"]
        assert len(front.engine.submitted) == 2, "it never reaches the engine again"
        assert (await front.post(OTHER))[0] == 200
        assert (await front.post(ASK | {"temperature": 0.5}))[0] == 200, "another request"
        page = await metrics(front)
        assert page["shosei_rejections_total", "quarantined"] == 1
        assert page["shosei_engine_restarts_total",] == 2

    play(scene)


def test_an_answer_between_two_deaths_clears_a_request(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        for after, expected in [("vanish", 503), ("end", 200), ("vanish", 503), ("end", 200)]:
            front.engine.after = after
            assert (await front.post(ASK))[0] == expected

    play(scene)


def test_an_answer_that_a_stop_text_ends_clears_a_request_and_one_that_is_left_does_not(
    play: Callable[..., None],
) -> None:
    asked = ASK | {"stop": "東"}

    async def dies(front: Front) -> int:
        front.engine.after = "vanish"
        return (await front.post(asked))[0]

    async def scene(front: Front) -> None:
        assert await dies(front) == 503
        front.engine.after, front.engine.text = "hang", "東京"
        status, body = await front.post(asked)
        assert (status, body["choices"][0]["finish_reason"]) == (200, "stop")
        front.engine.text = "今天"
        assert await dies(front) == 503
        front.engine.after = "hang"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await front.post(asked)
        assert await dies(front) == 503
        status, body = await front.post(asked)
        assert (status, body["error"]["code"]) == (400, "quarantined")

    play(scene, text="今天")


def test_a_connection_to_the_engine_is_used_by_the_next_who_asks_though_the_first_has_left(tmp_path: Path) -> None:
    async def scene() -> None:
        accepted, greet = 0, asyncio.Event()

        async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal accepted
            accepted += 1
            await greet.wait()
            writer.write(frame(Hello("scripted", 320, CONTEXT, 1, CONTEXT)))
            await reader.read()
            writer.close()

        async with await asyncio.start_unix_server(engine, tmp_path / "s"):
            link = EngineLink(tmp_path / "s", Counters("scripted"))
            first = asyncio.create_task(link.client())
            while not accepted:
                await asyncio.sleep(0.01)
            first.cancel()
            await asyncio.wait([first])
            greet.set()
            await asyncio.sleep(0.1)  # the connection is made, and nobody is there to take it
            assert not (await link.client()).lost
            assert accepted == 1
            await link.close()

    asyncio.run(scene())


def test_a_bystander_is_told_from_the_guilty(play: Callable[..., None]) -> None:
    """Both are in flight when the engine dies; afterwards they run one after the other."""

    async def scene(front: Front) -> None:
        engine, together = front.engine, asyncio.Event()

        async def answer(request: Submit, writer: asyncio.StreamWriter) -> None:
            if request.prompt == engine.submitted[0].prompt:  # the bystander, which came first
                if len(engine.submitted) > 1:
                    writer.write(frame(Token(request.id, TOKENIZER.end_id, "stop")))
                together.set()
            else:
                writer.close()

        engine.answer = answer  # type: ignore[method-assign]
        bystander = asyncio.create_task(front.post(OTHER))
        await together.wait()
        assert (await front.post(ASK))[0] == 503
        assert (await bystander)[0] == 503
        again = await asyncio.gather(front.post(OTHER), front.post(ASK))
        assert [status for status, _ in again] == [200, 503]
        assert (await front.post(ASK))[0] == 400
        assert (await front.post(OTHER))[0] == 200

    play(scene)


@pytest.fixture
def fragile(tmp_path: Path) -> Callable[[Callable[[EngineLink], Any]], None]:
    """Runs a coroutine function over the link to an engine of one slot, which makes two tokens for the prompt [1], and
    dies of the prompt [2] after the first."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(Hello("fragile", 320, CONTEXT, 1, CONTEXT)))
        decoder = FrameDecoder[ClientMessage](ClientMessage)
        while data := await reader.read(1 << 16):
            for message in decoder.feed(data):
                if isinstance(message, Submit):
                    writer.write(frame(Token(message.id, 7)))
                    if message.prompt == [2]:
                        writer.close()
                        return
                    writer.write(frame(Token(message.id, 8, "stop")))
        writer.close()

    def play(scene: Callable[[EngineLink], Any]) -> None:
        async def all_of_it() -> None:
            async with await asyncio.start_unix_server(engine, tmp_path / "s"), asyncio.timeout(20):
                link = EngineLink(tmp_path / "s", Counters("fragile"))
                await scene(link)
                await link.close()

        asyncio.run(all_of_it())

    return play


async def read(link: EngineLink, request: Submit) -> list[Any]:
    return [message async for message in link.submit(request)]


def test_an_answer_that_its_client_has_not_read_yet_is_not_what_an_engine_dies_of(fragile: Callable[..., None]) -> None:
    async def scene(link: EngineLink) -> None:
        for _ in range(2):
            unread = link.submit(Submit(0, [1], 5))
            await anext(unread)
            await asyncio.sleep(0.05)
            assert (link.load().running, link.load().cache_share) == (0, 0)
            with pytest.raises(EngineLost):
                await read(link, Submit(0, [2], 5))
            assert len([message async for message in unread]) == 1
        with pytest.raises(ApiError, match="died twice"):
            await read(link, Submit(0, [2], 5))
        assert len(await read(link, Submit(0, [1], 5))) == 2

    fragile(scene)


def test_a_client_that_leaves_without_having_read_of_the_death_clears_no_request(fragile: Callable[..., None]) -> None:
    async def scene(link: EngineLink) -> None:
        for _ in range(2):
            left = link.submit(Submit(0, [2], 5))
            await anext(left)
            await asyncio.sleep(0.05)
            await left.aclose()
        with pytest.raises(ApiError, match="died twice"):
            await read(link, Submit(0, [2], 5))

    fragile(scene)


def test_a_quarantine_ends_and_its_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        kept = engine_link.Quarantine()
        keys = [engine_link.key_of(Submit(1, [number], 1)) for number in range(3000)]
        kept.blame(keys)
        for _ in range(2):
            for number in range(1500):
                kept.blame(keys[number : number + 1])
                kept.blame(keys[number : number + 1])
        assert len(kept._suspects) <= 1024
        assert len(kept._refused) <= 1024
        newest = keys[1499]
        with pytest.raises(Exception, match="died twice"):
            async with kept.admitted(newest):
                pass
        now = engine_link.time.monotonic()
        monkeypatch.setattr(engine_link.time, "monotonic", lambda: now + 590)
        with pytest.raises(Exception, match="for another 1 min"):
            async with kept.admitted(newest):
                pass
        monkeypatch.setattr(engine_link.time, "monotonic", lambda: now + 601)
        async with kept.admitted(newest):
            pass

    asyncio.run(scene())


def test_requests_that_differ_in_anything_but_their_number_have_keys_of_their_own() -> None:
    request = Submit(1, [1, 2], 5)
    assert engine_link.key_of(request) == engine_link.key_of(Submit(2, [1, 2], 5))
    others = [Submit(1, [1, 3], 5), Submit(1, [1, 2], 6), Submit(1, [1, 2], 5, seed=1), Submit(1, [1, 2], 5, top_k=3)]
    others.append(Submit(1, [1, 2], 5, rules=LogitRules(logit_bias={5: -1.0})))
    assert len({engine_link.key_of(each) for each in [request, *others]}) == 6


@pytest.mark.parametrize("by", ["field", "header"])
@pytest.mark.parametrize("text", ["", "今天"])
def test_an_answer_that_is_late_is_given_up_and_the_engine_told(play: Callable[..., None], by: str, text: str) -> None:
    field, header = ({"timeout": 0.3}, {}) if by == "field" else ({"timeout": 60}, {"x-request-timeout": "0.3"})

    async def scene(front: Front) -> None:
        status, body = await front.post(ASK | field, **header)
        assert (status, body["error"]["code"]) == (504, "timeout")
        assert "0.3 s" in body["error"]["message"]
        await front.engine.cancelled.wait()
        assert (await front.event()).error == "timeout"
        assert (await metrics(front))["vllm:num_requests_running",] == 0

    play(scene, text=text, after="hang")


def test_a_stream_that_is_late_ends_with_an_error_event(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        *_, last = await front.stream(ASK | {"timeout": 0.5})
        assert last["error"]["code"] == "timeout"
        await front.engine.cancelled.wait()
        assert (await front.event()).error == "timeout"

    play(scene, text="今天", after="hang")


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
def test_a_timeout_that_is_no_time_is_refused(play: Callable[..., None], value: str) -> None:
    async def scene(front: Front) -> None:
        status, body = await front.post(ASK, **{"x-request-timeout": value})
        assert (status, body["error"]["param"]) == (400, "x-request-timeout")

    play(scene)


def test_no_memory_for_a_request_is_a_503_that_says_to_come_again(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        async def answer(request: Submit, writer: asyncio.StreamWriter) -> None:
            writer.write(frame(Failed(request.id, "no memory", "out_of_memory")))

        front.engine.answer = answer  # type: ignore[method-assign]
        async with front.http.post(front.url + "/v1/chat/completions", json=ASK) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json())["error"]["code"] == "out_of_memory"

    play(scene)


def test_the_metrics_page_counts_what_was_answered(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        tokens = len(TOKENIZER.encode("今天天气"))
        usage = [(await front.post(body))[1]["usage"] for body in (ASK, OTHER, ASK | {"max_tokens": 1})]
        page = await metrics(front)
        assert page["vllm:prompt_tokens_total",] == sum(each["prompt_tokens"] for each in usage)
        assert page["vllm:generation_tokens_total",] == sum(each["completion_tokens"] for each in usage)
        assert page["vllm:request_success_total", "stop"] == 3
        for name in ("time_to_first_token_seconds", "e2e_request_latency_seconds"):
            assert page[f"vllm:{name}_count",] == 3
        gaps = 2 * tokens + 1  # one fewer than an answer has tokens, its end counted
        for name in ("inter_token_latency_seconds", "time_per_output_token_seconds"):
            assert page[f"vllm:{name}_count",] == gaps
            assert page[f"vllm:{name}_bucket", "+Inf"] == gaps
            assert 0.001 * gaps / 2 < page[f"vllm:{name}_sum",] < 20

    play(scene, text="今天天气")


def test_what_is_refused_at_the_door_is_counted_by_its_reason(tmp_path: Path) -> None:
    async def scene() -> None:
        access = server_access(AccessRules(ApiKeys("a-key-of-sixteen-characters")))
        async with serving(tmp_path, access=access) as front:
            key = {"Authorization": "Bearer a-key-of-sixteen-characters"}
            for headers, status in [
                ({}, 401),
                ({"Authorization": "Bearer none"}, 401),
                (key | {"Host": "evil.example"}, 421),
                (key | {"Origin": "http://evil.example"}, 403),
                (key | {"Content-Type": "text/plain"}, 415),
                (key, 200),
            ]:
                assert (await front.post(ASK, **headers))[0] == status
            page = await metrics(front)
            refused = {labels[1]: count for labels, count in page.items() if labels[0] == "shosei_rejections_total"}
            assert refused == {"key_required": 1, "invalid_api_key": 1, "421": 1, "403": 1, "415": 1}

    asyncio.run(scene())


def test_tokens_that_the_engine_had_are_told_to_the_client_the_log_and_who_watches(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        status, answer = await front.post(ASK | {"n": 2})
        assert status == 200
        assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}
        assert (await front.event()).tokens_cached == 2
        page = await metrics(front)
        length = len(front.engine.submitted[0].prompt)
        assert page["vllm:prefix_cache_queries_total",] == 2 * length
        assert page["vllm:prefix_cache_hits_total",] == 4
        assert page["vllm:num_preemptions_total",] == 6

    play(scene, text="今天", reused=2, preempted=3)


def test_running_and_waiting_requests_and_the_cache_they_hold(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        asked = [asyncio.create_task(front.post(body)) for body in (ASK, OTHER)]
        while (await metrics(front))["vllm:num_requests_waiting",] < 1:
            await asyncio.sleep(0.01)
        page = await metrics(front)
        assert page["vllm:num_requests_running",] == 1
        held = len(front.engine.submitted[0].prompt) + len(TOKENIZER.encode("今天"))
        for name in ("kv_cache_usage_perc", "gpu_cache_usage_perc"):
            assert page[f"vllm:{name}",] == pytest.approx(held / CONTEXT)
        status, _ = await front.post(ASK | {"seed": 5})
        assert status == 429
        assert (await metrics(front))["shosei_rejections_total", "queue_full"] == 1
        for task in asked:
            task.cancel()

    play(scene, text="今天", after="hang", slots=1)


def test_the_expected_wait_is_that_of_the_measured_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    from shosei.log import Request
    from shosei.serve import counters

    now: Any = [100.0]
    monkeypatch.setattr(counters.time, "monotonic", lambda: now[0])
    counted = Counters("m")
    assert counted.wait_s(64) == 1, "nothing is known yet"
    for _ in range(20):
        counted.count(Request("i", "chat", "server", 0, sent_ns=0, done_ns=10**9, status=200), "")
        now[0] += 0.5
    assert counted.wait_s(64) == 32
    assert counted.wait_s(1000) == 60
    now[0] += 90
    assert counted.wait_s(4) == 20, "a stall is noticed"
