"""Upstreams and clients that misbehave, and faults on purpose: each has its name, and nobody else is held up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections import Counter
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
    Handler,
    chunk,
    client,
    completion,
    page,
    silent,
    text_of,
    through,
    unchunked,
    well,
)
from shosei.errors import InputError
from shosei.gateway import FaultRates, Gateway, GatewayConfig
from shosei.log import Fault, Log, Request

REFUSED = b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\n"
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def requests(log: Log) -> list[Request]:
    return log.of(Request)


def saying(*parts: bytes, close: bool = False) -> Handler:
    async def handle(asked: Asked) -> None:
        await asked.say(*parts)
        if close:
            raise ConnectionError

    return handle


def stalling(*parts: bytes) -> Handler:
    async def handle(asked: Asked) -> None:
        await asked.say(*parts)
        await silent(asked)

    return handle


async def raw(gateway: Gateway, body: dict[str, Any], headers: bytes = b"") -> bytes:
    """What comes over a plain socket until the gateway ends it."""
    reader, writer = await connected(gateway, body, headers)
    try:
        return await reader.read(-1)
    finally:
        writer.close()


async def connected(
    gateway: Gateway, body: dict[str, Any], headers: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A plain socket over which ``body`` was sent."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    data = json.dumps(body).encode()
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
    )
    writer.write(head % (headers, len(data)) + data)
    return reader, writer


@pytest.mark.parametrize(
    ("handler", "status", "error", "code"),
    [
        (saying(close=True), 502, "connect", "upstream_connect"),
        (saying(b"hello\r\n\r\n"), 502, "connect", "upstream_connect"),
        (saying(REFUSED % 500 + page({"error": {"message": "down", "code": "x"}})), 500, "5xx", "x"),
        (saying(REFUSED % 503 + b"Content-Length: 4\r\n\r\ndown"), 503, "5xx", None),
        (saying(REFUSED % 429 + b"Retry-After: 7\r\n" + page({"error": {"code": "slow"}})), 429, "429", "slow"),
        (saying(REFUSED % 401 + page({"error": {"message": "key"}})), 401, "4xx", None),
        (
            saying(REFUSED % 400 + page({"error": {"code": "context_length_exceeded"}})),
            400,
            "context limit",
            "context_length_exceeded",
        ),
        (silent, 504, "timeout", "upstream_timeout"),
        (stalling(OK + b'Content-Length: 900\r\n\r\n{"i'), 504, "timeout", "upstream_timeout"),
        (stalling(STREAM[:20]), 504, "timeout", "upstream_timeout"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_before_the_answer_is_an_error_answer(
    tmp_path: Path, handler: Handler, status: int, error: str, code: str | None, stream: bool
) -> None:
    async def talk(gateway: Gateway) -> None:
        with pytest.raises(openai.APIStatusError) as failed:
            await client(gateway).chat.completions.create(**QUESTION, stream=stream)
        assert (failed.value.status_code, failed.value.code) == (status, code)
        assert failed.value.response.headers.get("retry-after") == ("7" if status == 429 else None)

    log, _ = through(tmp_path, handler, talk, stall_s=0.3)
    (event,) = requests(log)
    assert (event.status, event.error) == (status, error)
    assert event.tokens_out is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("body", [b"abc", b'{"choices": 3}', b'{"choices":[ 3 ]}', b'{"choices": [{"mess', b""])
def test_an_answer_that_is_none_passes_as_it_came_and_is_an_error(tmp_path: Path, body: bytes, stream: bool) -> None:
    async def talk(gateway: Gateway) -> None:
        answer = await raw(gateway, QUESTION | {"stream": stream}, b"Connection: close\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert unchunked(answer) == body

    log, _ = through(tmp_path, saying(OK + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)), talk)
    assert [(event.status, bool(event.error)) for event in requests(log)] == [(200, True)]


def test_a_whole_answer_that_breaks_off_does_so_for_the_client(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        answer = await raw(gateway, QUESTION)
        assert b"content-length: 900\r\n" in answer
        assert answer.endswith(b"\r\n\r\nabc")
        with pytest.raises(openai.APIConnectionError):
            await client(gateway).chat.completions.create(**QUESTION)

    log, _ = through(tmp_path, saying(OK + b"Content-Length: 900\r\n\r\nabc", close=True), talk)
    assert [(event.status, event.error) for event in requests(log)] == [(200, "cut stream")] * 2


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (saying(STREAM, *CHUNKS, b"0\r\n\r\n"), "cut stream"),
        (saying(SSE + b"\r\n", CHUNKS[0].split(b"\r\n")[1], close=True), "cut stream"),
        (saying(STREAM, CHUNKS[0], b"9\r\ndata: {\n\n\r\n", DONE), "malformed"),
        (saying(STREAM, CHUNKS[0], chunk({}, error={"message": "lost"}), b"0\r\n\r\n"), "5xx"),
    ],
)
def test_a_stream_that_fails_in_words_ends_as_the_upstream_ends_it(
    tmp_path: Path, handler: Handler, error: str
) -> None:
    async def talk(gateway: Gateway) -> None:
        answer = await raw(gateway, QUESTION | {"stream": True}, b"Connection: close\r\n")
        assert answer.endswith(b"0\r\n\r\n")

    log, _ = through(tmp_path, handler, talk)
    assert [(event.status, event.error) for event in requests(log)] == [(200, error)]


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (saying(STREAM, *CHUNKS, close=True), "cut stream"),
        (saying(STREAM, CHUNKS[0], b"zz\r\n"), "cut stream"),
        (stalling(STREAM, *CHUNKS), "timeout"),
    ],
)
def test_a_failure_within_a_stream_never_looks_like_its_end(tmp_path: Path, handler: Handler, error: str) -> None:
    async def talk(gateway: Gateway) -> None:
        answer = await raw(gateway, QUESTION | {"stream": True})
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert not answer.endswith(b"0\r\n\r\n")
        with pytest.raises(openai.APIError):
            await text_of(await client(gateway).chat.completions.create(**QUESTION, stream=True))

    log, _ = through(tmp_path, handler, talk, stall_s=0.3)
    assert [(event.status, event.error) for event in requests(log)] == [(200, error)] * 2


def test_an_upstream_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def run() -> None:
        async with Gateway(f"http://127.0.0.1:{port}", None) as gateway:
            with pytest.raises(openai.InternalServerError, match="cannot connect") as failed:
                await client(gateway).chat.completions.create(**QUESTION)
            assert failed.value.status_code == 502

    asyncio.run(run())


@pytest.mark.parametrize("handler", [silent, stalling(STREAM, *CHUNKS)])
def test_a_client_that_leaves_takes_its_request_along(tmp_path: Path, handler: Handler) -> None:
    async def talk(gateway: Gateway) -> None:
        asking = asyncio.create_task(raw(gateway, QUESTION | {"stream": True}))
        await asyncio.sleep(0.2)
        asking.cancel()
        while gateway._downstreams:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

    log, upstream = through(tmp_path, handler, talk)
    assert [event.error for event in requests(log)] == ["disconnect"]
    assert upstream.left == 1


def test_a_client_that_leaves_at_the_last_event_has_its_answer(tmp_path: Path) -> None:
    async def unhurried(asked: Asked) -> None:
        await asked.say(STREAM, *CHUNKS, DONE.removesuffix(b"0\r\n\r\n"))
        await asyncio.sleep(30)

    async def talk(gateway: Gateway) -> None:
        reader, writer = await connected(gateway, QUESTION | {"stream": True})
        await reader.readuntil(b"[DONE]")
        writer.close()
        while gateway._downstreams:
            await asyncio.sleep(0.01)

    log, _ = through(tmp_path, unhurried, talk)
    (event,) = requests(log)
    assert (event.error, event.status) == ("", 200)
    assert event.done_ns


def test_a_slow_reader_holds_up_its_upstream_and_nothing_piles_up(tmp_path: Path) -> None:
    sent, count, big = 0, 400, chunk({"content": "あ" * 30_000})

    async def flood(asked: Asked) -> None:
        nonlocal sent
        await asked.say(STREAM)
        for _ in range(count):
            await asked.say(big)
            sent += 1
        await asked.say(chunk({}, "stop"), DONE)

    async def talk(gateway: Gateway) -> None:
        reader, writer = await connected(gateway, QUESTION | {"stream": True})
        before = -1
        while before != sent:  # until the upstream can write no more
            before = sent
            await asyncio.sleep(0.5)
        assert 0 < sent < count / 2  # what the kernel's buffers take, of 36 MB
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            piece = await reader.read(1 << 20)
            assert piece
            received = received[-10:] + piece
        writer.close()

    log, _ = through(tmp_path, flood, talk, stall_s=2.0)
    (event,) = requests(log)
    assert (event.error, sent) == ("", count)
    assert event.bytes_received is not None
    assert event.bytes_received > count * 90_000


def test_a_client_that_resets_its_connection_is_a_disconnect(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        reader, writer = await connected(gateway, QUESTION | {"stream": True})
        await reader.readuntil(b"\r\n\r\n")
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        while gateway._downstreams:
            await asyncio.sleep(0.01)

    log, _ = through(tmp_path, stalling(STREAM, *CHUNKS), talk)
    assert [event.error for event in requests(log)] == ["disconnect"]


def test_answers_in_flight_end_before_the_gateway_does(tmp_path: Path) -> None:
    asking: list[asyncio.Task[Any]] = []

    async def late(asked: Asked) -> None:
        if asked.body["model"] == "never":
            await silent(asked)
        await asyncio.sleep(0.3)
        await asked.say(OK + page(completion()))

    async def talk(gateway: Gateway) -> None:
        for model in ("m", "never"):
            create = client(gateway).chat.completions.create(**QUESTION | {"model": model})
            asking.append(asyncio.create_task(create))
        await asyncio.sleep(0.2)

    log, _ = through(tmp_path, late, talk, drain_s=1.0)
    assert sorted(event.error for event in requests(log)) == ["", "cancelled"]


async def persistent(agent: openai.AsyncOpenAI, *, stream: bool) -> str:
    """The answer, however often it takes to get it."""
    while True:
        with contextlib.suppress(openai.APIError):
            answer = await agent.chat.completions.create(**QUESTION, stream=stream)
            return await text_of(answer) if stream else answer.choices[0].message.content


def test_injected_faults_are_counted_and_systems_that_retry_get_through(tmp_path: Path) -> None:
    told: dict[str, Any] = {"inject": ["429=0.05", "500=0.15", "cut=0.1", "delay=0.1"], "seed": 3, "delay_s": 0.01}
    faults = GatewayConfig(**told).fault_rates
    count = 60

    async def talk(gateway: Gateway) -> None:
        for number in range(count):
            assert await persistent(client(gateway, f"t{number}"), stream=number % 2 > 0) == "月曜日です。"

    log, _ = through(tmp_path, well, talk, **told)
    events = requests(log)
    injected = Counter(fault.name for fault in log.of(Fault))
    assert injected == Counter(fault for number in range(len(events)) if (fault := faults.draw(number + 1)))
    assert set(injected) == {"429", "500", "cut", "delay"}
    failed = Counter(event.error for event in events if event.error)
    assert failed == {"429": injected["429"], "5xx": injected["500"], "cut stream": injected["cut"]}
    assert len(events) == count + sum(failed.values())
    marked = {fault.span: fault.name for fault in log.of(Fault)}
    assert all(fault.injected and fault.begin_ns == fault.end_ns for fault in log.of(Fault))
    assert all(bool(event.error) == (marked.get(event.id, "delay") != "delay") for event in events)


def test_faults_have_the_shares_that_were_asked_for() -> None:
    faults = FaultRates.parse(["429=0.1", "cut=0.02"], seed=1)
    drawn = Counter(faults.draw(number) for number in range(1, 20_001))
    assert abs(drawn["429"] / 20_000 - 0.1) < 0.01
    assert abs(drawn["cut"] / 20_000 - 0.02) < 0.005
    assert [FaultRates.parse(["429=0.1"], seed=2).draw(n) for n in range(99)] != [faults.draw(n) for n in range(99)]
    for text, words in (("42=0.1", "did you mean"), ("429=x", "429=SHARE"), ("429=2", "from 0 to 1")):
        with pytest.raises(InputError, match=words):
            FaultRates.parse([text])
    with pytest.raises(InputError, match="more than 1"):
        FaultRates.parse(["429=0.6", "500=0.6"])
    with pytest.raises(InputError, match="not both"):
        GatewayConfig(record=Path("a"), replay=Path("b"))
