"""Calls through the gateway with the official client: who called, what passed, what was noted of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import aiohttp
import openai
import pytest
from yarl import URL

from gateway_upstream import (
    DONE,
    JSON,
    OK,
    QUESTION,
    STREAM,
    Asked,
    chunk,
    client,
    completion,
    framed,
    page,
    text_of,
    through,
    well,
)
from shosei.gateway import Gateway
from shosei.gateway.call import Call
from shosei.log import Log, Request


def requests(log: Log) -> list[Request]:
    return log.of(Request)


def test_a_whole_answer_and_a_streamed_one_pass_and_are_measured(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def talk(gateway: Gateway) -> None:
        agent = client(gateway, "t/1#0", "数学")
        seen.append(await agent.chat.completions.create(**QUESTION))
        stream = await agent.chat.completions.create(**QUESTION, stream=True)
        seen.append([part async for part in stream])
        spent = gateway.spent("t/1#0")
        assert (spent.calls, spent.tokens_in, spent.tokens_out, spent.exceeded) == (2, 22, 14, "")

    log, upstream = through(tmp_path, well, talk)
    whole, parts = seen
    assert whole.choices[0].message.content == "月曜日です。"
    assert "".join(part.choices[0].delta.content or "" for part in parts) == "月曜日です。"
    first, second = requests(log)
    for event, stream in ((first, False), (second, True)):
        assert (event.task, event.agent, event.attribution) == ("t/1#0", "数学", "path")
        assert (event.purpose, event.seen_by, event.status, event.error) == ("agents", "gateway", 200, "")
        assert (event.tokens_in, event.tokens_out, event.tokens_cached) == (11, 7, 4)
        assert event.stream is stream
        assert event.sent_ns
        assert event.first_byte_ns
        assert event.done_ns
        assert event.scheduled_ns <= event.sent_ns <= event.first_byte_ns <= event.done_ns
    assert first.first_token_ns is None
    assert second.first_token_ns
    assert second.longest_gap_ns is not None
    # The gateway's id, unique, is what the client sees, in every chunk.
    assert first.id != second.id
    assert first.id.startswith("chatcmpl-")
    assert whole.id == first.id
    assert {part.id for part in parts} == {second.id}
    # Usage was asked for on the client's behalf, and is not shown to it.
    assert upstream.asked[1].body["stream_options"] == {"include_usage": True}
    assert all(part.usage is None and part.choices for part in parts)
    assert upstream.asked[0].body == QUESTION


def test_a_client_that_asks_for_usage_gets_it(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        options = {"include_usage": True}
        stream = await client(gateway).chat.completions.create(**QUESTION, stream=True, stream_options=options)
        parts = [part async for part in stream]
        assert parts[-1].choices == []
        assert parts[-1].usage.total_tokens == 18

    through(tmp_path, well, talk)


def test_a_chunk_whose_error_is_null_is_none(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> None:
        await asked.say(STREAM, chunk({"content": "月"}, error=None), chunk({}, "stop", error=None), DONE)

    async def talk(gateway: Gateway) -> None:
        assert await text_of(await client(gateway).chat.completions.create(**QUESTION, stream=True)) == "月"

    log, _ = through(tmp_path, answer, talk)
    assert [event.error for event in requests(log)] == [""]


def test_signs_of_life_are_handed_on_and_the_last_event_may_be_missing(tmp_path: Path) -> None:
    """OpenRouter pings while a model reads; some servers end a stream after its usage, which may have no choices."""

    async def answer(asked: Asked) -> None:
        last = framed(
            b'data: {"id": "up-1", "choices": null, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n'
        )
        ping, end = framed(b": PROCESSING\n\n"), b"0\r\n\r\n"
        await asked.say(STREAM, ping, chunk({"content": "月"}), ping, chunk({}, "stop"), last, end)

    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession() as session:
            question = {**QUESTION, "stream": True}
            async with session.post(f"{gateway.base_url()}/chat/completions", json=question) as response:
                lines = (await response.text()).split("\n\n")
        assert [line for line in lines if line.startswith(":")] == [": PROCESSING"] * 2
        assert lines[0] == ": PROCESSING"
        assert await text_of(await client(gateway).chat.completions.create(**QUESTION, stream=True)) == "月"

    log, _ = through(tmp_path, answer, talk)
    assert [(event.error, event.tokens_out) for event in requests(log)] == [("", 1)] * 2


def test_completions_of_text_and_the_list_of_models(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> None:
        if asked.head.startswith("GET /v1/models"):
            await asked.say(
                OK + page({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "us"}]})
            )
        else:
            choice = {"index": 0, "text": "青", "finish_reason": "stop", "logprobs": None}
            await asked.say(OK + page(completion() | {"object": "text_completion", "choices": [choice]}))

    async def talk(gateway: Gateway) -> None:
        asking = client(gateway)
        assert [model.id async for model in asking.models.list()] == ["m"]
        told = await asking.completions.create(model="m", prompt="空は")
        assert told.choices[0].text == "青"
        assert told.id.startswith("cmpl-")
        async with aiohttp.ClientSession() as session:
            for path in ("/v1/x/../completions", "/v1//completions/", "/v1/%63ompletions", "/openai/m/completions"):
                url = URL(gateway.url + path, encoded=True)
                async with session.post(url, json={"model": "m", "prompt": "空は"}) as disguised:
                    assert (await disguised.json())["id"].startswith("cmpl-")

    log, upstream = through(tmp_path, answer, talk)
    events = requests(log)  # what costs no tokens is not an event, and what does has no other way
    assert [(event.tokens_out, event.error) for event in events] == [(7, "")] * 5
    assert upstream.asked[2].head.startswith("POST /v1/x/../completions HTTP/1.1")


@pytest.mark.parametrize(
    ("path", "headers", "metadata", "key", "expected"),
    [
        ("/t/t1/a/path", {"x-agent": "header"}, {"agent": "meta"}, "agent:key", ("path", "t1", "path")),
        ("/t/t1", {"x-agent": "header", "x-task": "t2"}, {"agent": "meta"}, "agent:key", ("header", "t1", "header")),
        ("", {"x-task": "t2"}, {"agent": "meta", "task": "t3"}, "agent:key", ("meta", "t2", "metadata")),
        ("", {}, {"task": "t3"}, "agent:%E6%95%B0", ("数", "t3", "key")),
        ("", {"x-agent": "%E6%95%B0"}, {}, "k", ("数", "", "header")),
        ("/a/a%2Fb", {}, {}, "k", ("a/b", "", "path")),
        ("", {}, {"agent": 3}, "k", ("unattributed", "", "unattributed")),
    ],
)
def test_an_agent_is_known_by_path_header_metadata_or_key(
    tmp_path: Path, path: str, headers: dict[str, str], metadata: Any, key: str, expected: tuple[str, str, str]
) -> None:
    async def talk(gateway: Gateway) -> None:
        asking = openai.AsyncOpenAI(base_url=f"{gateway.url}{path}/v1", api_key=key, max_retries=0)
        await asking.chat.completions.create(**QUESTION, extra_headers=headers, extra_body={"metadata": metadata})

    log, upstream = through(tmp_path, well, talk)
    (event,) = requests(log)
    assert (event.agent, event.task, event.attribution) == expected
    head = upstream.asked[0].head.lower()
    assert head.startswith("post /v1/chat/completions http/1.1")
    assert "x-agent" not in head
    assert ("authorization: bearer k\r\n" in head) is (key == "k")
    assert "bearer agent:" not in head


def test_the_gateways_key_goes_upstream_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTED_KEY", "sk-very-secret")

    async def talk(gateway: Gateway) -> None:
        await client(gateway, api_key="agent:a").chat.completions.create(**QUESTION)
        await client(gateway, api_key="sk-of-the-client").chat.completions.create(**QUESTION)

    _, upstream = through(tmp_path, well, talk, key_variable="HOSTED_KEY")
    assert all("authorization: bearer sk-very-secret" in asked.head.lower() for asked in upstream.asked)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"unattributed" in written
    assert b"sk-" not in written


@pytest.mark.parametrize(
    ("budget", "answered", "exceeded"), [({"calls": 2}, 2, "calls"), ({"tokens": 30}, 2, "tokens")]
)
def test_a_task_over_its_budget_is_refused_and_others_are_not(
    tmp_path: Path, budget: dict[str, int], answered: int, exceeded: str
) -> None:
    told: list[str] = []

    async def talk(gateway: Gateway) -> None:
        for _ in range(answered):
            await client(gateway, "loop").chat.completions.create(**QUESTION)
        for _ in range(3):
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await client(gateway, "loop").chat.completions.create(**QUESTION)
            assert refused.value.code == "budget_exceeded"
        assert gateway.spent("loop").exceeded == exceeded
        assert gateway.spent("loop").calls == answered
        await client(gateway, "other").chat.completions.create(**QUESTION)
        assert gateway.spent("other").exceeded == ""

    log, upstream = through(tmp_path, well, talk, told.append, **budget)
    assert told == ["loop"]
    assert len(upstream.asked) == answered + 1
    assert [event.error for event in requests(log)] == [""] * answered + ["budget"] * 3 + [""]


def test_a_client_says_which_of_its_requests_are_retries(tmp_path: Path) -> None:
    statuses = iter((429, 500, 200, 200))

    async def answer(asked: Asked) -> None:
        status = next(statuses, 400)
        if status == 200:
            await well(asked)
        else:
            error = {"error": {"message": "no", "type": "x", "code": None, "param": None}}
            await asked.say(b"HTTP/1.1 %d X\r\nretry-after-ms: 1\r\n" % status + page(error))

    async def talk(gateway: Gateway) -> None:
        for _ in range(2):
            await client(gateway, "t1", "a", max_retries=3).chat.completions.create(**QUESTION)
        async with aiohttp.ClientSession() as http:
            for count in ("", "2.5", "one"):
                headers = JSON | ({"x-stainless-retry-count": count} if count else {})
                body = json.dumps(QUESTION)
                async with http.post(f"{gateway.base_url()}/chat/completions", data=body[:-1], headers=headers) as told:
                    assert told.status == 400

    log, _ = through(tmp_path, answer, talk)
    expected = [("429", 0), ("5xx", 1), ("", 2), ("", 0), *[("4xx", None)] * 3]
    assert [(request.error, request.retry) for request in requests(log)] == expected


def test_a_body_that_is_no_object_is_the_upstreams_to_refuse(tmp_path: Path) -> None:
    bodies = [b"", b"{", b"[1]", b'"x"', b'{"stream": tru}', b"\xff\xfe", b'{"metadata": "\\ud800"}']
    refusal = {"error": {"message": "We could not parse the JSON body", "code": None}}

    async def refuse(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 400 No\r\nContent-Type: application/json\r\n" + page(refusal))

    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession() as session:
            for data in bodies:
                async with session.post(
                    f"{gateway.base_url('t1', 'solver')}/chat/completions", data=data, headers=JSON
                ) as answer:
                    assert (answer.status, await answer.json()) == (400, refusal)

    log, upstream = through(tmp_path, refuse, talk)
    assert [asked.raw for asked in upstream.asked] == bodies
    seen = [(event.status, event.error, event.task, event.agent) for event in requests(log)]
    assert seen == [(400, "4xx", "t1", "solver")] * len(bodies)


def test_what_is_no_request_is_refused_in_openais_form(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{gateway.url}/health") as answer:
                assert (answer.status, await answer.json()) == (200, {"status": "ok"})
            async with session.post(f"{gateway.url}/r/other/v1/chat/completions", json={}) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (404, "unknown_run")

    log, upstream = through(tmp_path, well, talk)
    assert (upstream.asked, requests(log)) == ([], [])


def test_many_clients_at_once_get_their_own_answers(tmp_path: Path) -> None:
    async def echo(asked: Asked) -> None:
        await asyncio.sleep(0.01)
        said = asked.body["messages"][0]["content"]
        await asked.say(OK + page(completion({"role": "assistant", "content": said})))

    async def talk(gateway: Gateway) -> None:
        async def ask(number: int) -> None:
            messages: Any = [{"role": "user", "content": f"{number}番"}]
            answer = await client(gateway, f"t{number}").chat.completions.create(model="m", messages=messages)
            assert answer.choices[0].message.content == f"{number}番"

        await asyncio.gather(*(ask(number) for number in range(40)))

    log, _ = through(tmp_path, echo, talk)
    assert {event.task for event in requests(log)} == {f"t{number}" for number in range(40)}
    assert len({event.id for event in requests(log)}) == 40


def test_pipelined_requests_are_answered_in_their_order(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        host, port = gateway.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(QUESTION).encode()
        for agent in "abcdef":
            writer.write(
                b"POST /a/%s/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                % agent.encode()
            )
            writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        for _ in range(6):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["choices"]
        writer.close()

    log, _ = through(tmp_path, well, talk)
    assert [event.agent for event in requests(log)] == list("abcdef")


def test_an_offer_of_another_protocol_is_not_taken(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAA"}
        async with aiohttp.ClientSession() as http:
            for _ in range(2):
                async with http.post(f"{gateway.base_url()}/chat/completions", json=QUESTION, headers=offer) as answer:
                    assert (await answer.json())["choices"]

    log, upstream = through(tmp_path, well, talk)
    assert [event.error for event in requests(log)] == ["", ""]
    assert upstream.asked[0].body == QUESTION
    assert "upgrade" not in upstream.asked[0].head.lower()


def test_text_of_a_stream_is_never_cut_within_a_character(tmp_path: Path) -> None:
    """An upstream whose bytes come one by one gives the same text."""

    async def slowly(asked: Asked) -> None:
        data = chunk({"content": "東京"}) + chunk({}, "stop") + DONE
        await asked.say(STREAM, *(data[at : at + 1] for at in range(len(data))))

    async def talk(gateway: Gateway) -> None:
        assert await text_of(await client(gateway).chat.completions.create(**QUESTION, stream=True)) == "東京"

    log, _ = through(tmp_path, slowly, talk)
    assert requests(log)[0].tokens_out is None  # this upstream counts nothing; missing is not 0


@pytest.mark.parametrize("name", ["%1b%5b31mred", "a%0ab", "%e2%80%ae"])
def test_a_name_does_not_steer_a_terminal(name: str) -> None:
    call = Call(
        cast(Any, None), "POST", f"/a/{name}/v1/chat/completions".encode(), [], b"{}", 0, True, True, cast(Any, None)
    )
    assert "\N{REPLACEMENT CHARACTER}" in call.agent
    assert call.agent.isprintable()
