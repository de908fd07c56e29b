"""Usage that the gateway asks for: what it adds, who refuses that, and what is spent where nobody counts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway_upstream import (
    CHUNKS,
    DONE,
    OK,
    QUESTION,
    STREAM,
    Asked,
    chunk,
    client,
    completion,
    exchanged,
    page,
    silent,
    text_of,
    through,
    well,
)
from shosei.gateway import Gateway, TaskBudget
from shosei.gateway.budget import TaskBudgets
from shosei.gateway.estimate import prompt_tokens
from shosei.log import Request

LENIENT = b'{ "n": 1.0, "n": 2e0,\t"model": "\\u6708", "messages": [{"role":"user","content":"x"}], "stream":true%s }\n'
ASKED = b'"stream_options":{"include_usage":true}'


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (b"", b"," + ASKED + b"}"),
        (b', "stream_options": null', b', "stream_options": {"include_usage":true} }'),
        (b', "stream_options": {"x": 1.0}', b', "stream_options": {"x":1.0,"include_usage":true} }'),
        (b', "stream_options" : {"include_usage" : true}', b', "stream_options" : {"include_usage" : true} }'),
        (b', "stream_options": 3', b', "stream_options": 3 }'),
    ],
)
def test_only_stream_options_are_added_to_a_body(tmp_path: Path, options: bytes, sent: bytes) -> None:
    bodies: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        bodies.append(await reader.readexactly(length))
        writer.write(STREAM + b"".join(CHUNKS) + chunk({}, "stop") + DONE)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with Gateway(f"http://127.0.0.1:{port}", None) as gateway:
            body = LENIENT % options
            head = (
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            )
            answer = await exchanged(gateway.url, head % len(body) + body)
            assert answer.startswith(b"HTTP/1.1 200")
        server.close()

    asyncio.run(run())
    before = (LENIENT % b"").partition(b" }\n")[0]
    assert bodies == [before + (b" " if not options else b"") + sent + b"\n"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Unknown field: stream_options"),
        (422, "Unknown field: stream_options"),
        (400, "Bad request"),
        (500, "got an unexpected keyword argument 'stream_options'"),
    ],
)
def test_who_refuses_stream_options_is_asked_as_the_client_asked_and_remembered(
    tmp_path: Path, status: int, words: str
) -> None:
    async def strict(asked: Asked) -> None:
        if "stream_options" in asked.body:
            refusal = {"error": {"message": words, "type": "invalid_request_error"}}
            await asked.say(b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\n" % status + page(refusal))
        elif asked.body["stream"]:
            await asked.say(STREAM, *CHUNKS, chunk({}, "stop"), DONE)

    async def talk(gateway: Gateway) -> None:
        for _ in range(3):
            stream = await client(gateway, "t").chat.completions.create(**QUESTION, stream=True)
            assert await text_of(stream) == "月曜日です。"
        asks: Any = {"stream": True, "stream_options": {"include_usage": True}}
        with pytest.raises(openai.APIStatusError, match=words):  # its own affair
            await client(gateway, "t").chat.completions.create(**QUESTION, **asks)
        assert gateway.spent("t").calls == 4

    log, upstream = through(tmp_path, strict, talk)
    assert ["stream_options" in asked.body for asked in upstream.asked] == [True, False, False, False, True]
    events = log.of(Request)
    assert [(event.status, event.error) for event in events] == [(200, "")] * 3 + [
        (status, "5xx" if status == 500 else "4xx")
    ]
    assert all(event.tokens_out is None and event.first_try_error == event.error for event in events)


def test_a_refusal_for_another_reason_is_handed_on_and_not_remembered(tmp_path: Path) -> None:
    """FastAPI repeats the body that it refuses, and with it what was added."""

    async def picky(asked: Asked) -> None:
        if asked.body["model"] == "m":
            await well(asked)
        else:
            detail = [{"loc": ["body", "model"], "msg": "no such model", "input": asked.body}]
            await asked.say(b"HTTP/1.1 422 No\r\nContent-Type: application/json\r\n" + page({"detail": detail}))

    async def talk(gateway: Gateway) -> None:
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            await client(gateway).chat.completions.create(**QUESTION | {"model": "x"}, stream=True)
        words = refused.value.response.text
        assert ("no such model" in words, "stream_options" in words) == (True, False)
        await text_of(await client(gateway).chat.completions.create(**QUESTION, stream=True))

    log, upstream = through(tmp_path, picky, talk)
    assert ["stream_options" in asked.body for asked in upstream.asked] == [True, False, True]
    assert [(event.status, event.tokens_out) for event in log.of(Request)] == [(422, None), (200, 7)]


def until_refused(log_of: Path, handler: Any, ask: Any, **config: Any) -> tuple[list[Request], int]:
    """Ask until the budget is spent; the calls that were answered, and what the task had spent by then."""
    spent = 0

    async def talk(gateway: Gateway) -> None:
        nonlocal spent
        for _ in range(200):
            try:
                await ask(gateway)
            except openai.APIError as error:
                code = error.code
                break
        else:
            pytest.fail("the budget has no end")
        assert (code, gateway.spent("t").exceeded) == ("budget_exceeded", "tokens")
        spent = gateway.spent("t").tokens_in + gateway.spent("t").tokens_out

    log, _ = through(log_of, handler, talk, **config)
    *answered, refused = log.of(Request)
    assert refused.error == "budget"
    assert all(event.tokens_in is None and event.tokens_out is None for event in answered)  # no metric is estimated
    return answered, spent


def test_who_always_leaves_before_the_count_comes_to_the_end_of_the_budget(tmp_path: Path) -> None:
    async def unfinished(asked: Asked) -> None:
        """Says what the client stays for and no more, so that a slow machine counts the same."""
        await asked.say(STREAM, *[chunk({"content": "月"})] * 10)
        await silent(asked)

    async def ask(gateway: Gateway) -> None:
        stream = await client(gateway, "t").chat.completions.create(**QUESTION, stream=True)
        for _ in range(10):
            await anext(stream)
        await stream.close()
        while any(downstream.busy for downstream in gateway._downstreams):
            await asyncio.sleep(0.005)

    answered, spent = until_refused(tmp_path, unfinished, ask, tokens=500)
    prompt = -(-len(json.dumps(QUESTION | {"stream": True}, ensure_ascii=False, separators=(",", ":")).encode()) // 4)
    assert {event.error for event in answered} == {"disconnect"}
    assert 500 <= spent <= 501 + prompt
    assert len(answered) <= -(-500 // (prompt + 10))  # ten deltas each at least
    assert spent >= len(answered) * (prompt + 10)


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_never_counts_is_charged_by_what_it_says(tmp_path: Path, stream: bool) -> None:
    text = "The answer is Monday. " * 10

    async def uncounted(asked: Asked) -> None:
        if stream:
            await asked.say(STREAM, chunk({"content": text}), chunk({}, "stop"), DONE)
        else:
            answer = completion({"role": "assistant", "content": text})
            del answer["usage"]
            await asked.say(OK + page(answer))

    async def ask(gateway: Gateway) -> None:
        await client(gateway, "t").chat.completions.create(**QUESTION, stream=stream)
        while stream and any(downstream.busy for downstream in gateway._downstreams):
            await asyncio.sleep(0.005)

    answered, spent = until_refused(tmp_path, uncounted, ask, tokens=500)
    assert 500 <= spent < 600
    assert len(answered) == -(-500 // (spent // len(answered)))
    assert spent // len(answered) >= len(text) // 4


def test_streams_side_by_side_are_cut_where_their_tasks_tokens_run_out(tmp_path: Path) -> None:
    """Eight at once, each of which would go on for 300 pieces."""
    pieces, told, ends = [0] * 8, list[str](), list[str]()
    others = finished = 0

    async def long(asked: Asked) -> None:
        nonlocal finished
        await asked.say(STREAM)
        for _ in range(300):
            await asked.say(chunk({"content": "月"}))
            await asyncio.sleep(0.001)
        await asked.say(chunk({}, "stop"), DONE)
        finished += 1

    async def ask(gateway: Gateway, place: int, task: str) -> None:
        try:
            async for _ in await client(gateway, task).chat.completions.create(**QUESTION, stream=True):
                pieces[place] += 1
        except openai.APIError as error:
            ends.append(str(error.code))

    async def talk(gateway: Gateway) -> None:
        nonlocal others
        await asyncio.gather(*(ask(gateway, place, "t") for place in range(8)))
        spent = gateway.spent("t")
        assert 400 < spent.tokens_in + spent.tokens_out <= 400 + 8
        assert spent.exceeded == "tokens"
        others = len([1 async for _ in await client(gateway, "o").chat.completions.create(**QUESTION, stream=True)]) - 1

    log, _ = through(tmp_path, long, talk, told.append, tokens=400)
    prompt = -(-len(json.dumps(QUESTION | {"stream": True}, ensure_ascii=False, separators=(",", ":")).encode()) // 4)
    assert 400 < sum(pieces) + 8 * prompt <= 400 + 8
    assert (told, ends, others) == (["t"], ["budget_exceeded"] * 8, 300)
    cut = [(event.error, event.status, event.tokens_out) for event in log.of(Request) if event.task == "t"]
    assert cut == [("budget", 200, None)] * 8
    assert finished == 1  # the gateway ended the others, so that nobody goes on computing


def test_a_prompts_picture_is_not_counted_as_words(tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 400_000}"}}
    messages: Any = [{"role": "user", "content": [picture, {"type": "text", "text": "何？"}]}]

    async def uncounted(asked: Asked) -> None:
        answer = completion()
        del answer["usage"]
        await asked.say(OK + page(answer))

    async def talk(gateway: Gateway) -> None:
        await client(gateway, "t").chat.completions.create(model="m", messages=messages)
        assert 10 < gateway.spent("t").tokens_in < 100

    through(tmp_path, uncounted, talk)


def test_what_the_upstream_refused_costs_nothing(tmp_path: Path) -> None:
    async def refuse(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 429 No\r\nContent-Type: application/json\r\n" + page({"error": {"message": "slow"}}))

    async def talk(gateway: Gateway) -> None:
        with pytest.raises(openai.RateLimitError):
            await client(gateway, "t").chat.completions.create(**QUESTION)
        spent = gateway.spent("t")
        assert (spent.calls, spent.tokens_in, spent.tokens_out) == (1, 0, 0)

    through(tmp_path, refuse, talk)


def test_tokens_hold_after_the_calls_have_run_out() -> None:
    stopped: list[str] = []
    budgets = TaskBudgets(TaskBudget(calls=1, tokens=10), stopped.append)
    assert budgets.admit("t")
    charge = budgets.charge("t")
    assert charge.grow(5, 5)
    assert not budgets.admit("t")
    assert not charge.grow(5, 6)
    assert (stopped, budgets.account("t").exceeded) == (["t"], "calls")


def test_a_prompt_is_looked_through_in_time() -> None:
    """Runs just too short for what is left out are looked at once each, not from each of their bytes."""
    assert prompt_tokens(b" ".join([b"a" * 511] * 40_000)) == 512 * 40_000 // 4
