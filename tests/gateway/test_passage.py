"""What is not measured passes as it is, both ways, and is counted."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import openai
import pytest
import uvloop

from gateway_upstream import JSON, QUESTION, Asked, client, exchanged, page, through, unchunked, well
from shosei.gateway import Gateway, GatewayConfig
from shosei.log import PassedOn, Request
from shosei.metrics.cells import compute
from shosei.wire.connection import PAGE_BYTES

BYTES = bytes(range(256)) * 40
ANSWER = b"HTTP/1.1 201 Made\r\nContent-Type: application/octet-stream\r\nX-Kind: a\r\nX-Kind: b\r\nDate: today\r\n"


async def bytes_back(asked: Asked) -> None:
    await asked.say(ANSWER + b"Content-Length: %d\r\n\r\n" % len(BYTES) + BYTES)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v1/files/f-1/content?a=1&b=%E6%95%B0", "/v1/embeddings", "/metrics", "/", "/v1"])
def test_any_method_and_path_passes_with_its_headers_and_bytes(tmp_path: Path, method: str, path: str) -> None:
    sent = json.dumps({"n": 1.0, "x": "\u0000"}).encode()

    async def talk(gateway: Gateway) -> None:
        head = f"{method} /t/t1/a/solver{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sent)}\r\n"
        head += (
            "Authorization: Basic abc\r\nX-Mine: 2\r\nAccept-Encoding: br\r\nX-Hop: 1\r\nConnection: close, x-hop\r\n"
        )
        answer = await exchanged(gateway.url, f"{head}\r\n".encode() + sent)
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert unchunked(answer) == BYTES
        told = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert {b"x-kind: a", b"x-kind: b", b"date: today", b"content-length: 10240"} <= set(told)

    log, upstream = through(tmp_path, bytes_back, talk)
    (asked,) = upstream.asked
    lines = asked.head.lower().split("\r\n")
    assert asked.head.startswith(f"{method} {path} HTTP/1.1\r\n")
    assert {"authorization: basic abc", "x-mine: 2", "accept-encoding: br"} <= set(lines)
    assert not any(line.startswith("x-hop") for line in lines)
    assert asked.body == {"n": 1.0, "x": "\u0000"}
    assert log.of(Request) == []


def test_an_answer_without_a_body_has_its_header_and_the_connection_goes_on(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> None:
        if asked.head.startswith("HEAD"):
            await asked.say(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        else:
            await asked.say(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(2):
                async with session.head(f"{gateway.url}/v1/files/f-1") as head:
                    assert (head.status, head.headers["content-length"]) == (200, "900")
                async with session.delete(f"{gateway.url}/v1/files/f-1") as deleted:
                    assert (deleted.status, await deleted.read()) == (204, b"")

    _, upstream = through(tmp_path, answer, talk)
    assert len(upstream.asked) == 4


def test_what_passed_is_counted_by_its_path(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> None:
        if "/chat/" in asked.head:
            await well(asked)
        else:
            item = {"object": "embedding", "index": 0, "embedding": [0.5]}
            usage = {"prompt_tokens": 1, "total_tokens": 1}
            await asked.say(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                + page({"object": "list", "model": "m", "data": [item], "usage": usage})
            )

    async def talk(gateway: Gateway) -> None:
        await client(gateway).chat.completions.create(**QUESTION)
        for number in range(12):
            told = await client(gateway, f"t{number}").embeddings.create(model="m", input="x", encoding_format="float")
            assert told.data[0].embedding == [0.5]
        await exchanged(gateway.url, b"GET /v1/files/f-1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    log, _ = through(tmp_path, answer, talk)
    assert len(log.of(Request)) == 1
    passed = log.of(PassedOn)
    counts = Counter((request.path, request.status, request.tokens) for request in passed)
    assert counts == {("/v1/embeddings", 200, 1): 12, ("/v1/files", 200, None): 1}
    assert [request.task for request in passed] == [*(f"t{number}" for number in range(12)), ""]
    rate = next(metric for metric in compute(log) if (metric.id, metric.phase) == ("error_rate", "inference"))
    (table,) = (table for table in rate.breakdown if table.key == "agents.passed_on")
    assert table.rows == [["/v1/embeddings", "200", 12, 12], ["/v1/files", "200", 1, None]]


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"usage": {"total_tokens": 9, "prompt_tokens": 9}, "results": [1.5]}', 9),
        (b'{"results": [], "usage": {"input_tokens": 7, "output_tokens": 2}}', 9),
        (b'{"usage": {"input_tokens": 7}}', 7),
        (b'{"usage": null}', None),
        (b'{"usage": {"total_tokens": "9"}}', None),
        (b'{"usage": 9', None),
        (b"[]", None),
        (b"", None),
        (b'{"x": "' + b"x" * PAGE_BYTES + b'", "usage": {"total_tokens": 9}}', None),
    ],
)
def test_tokens_of_what_passed_are_those_that_its_answer_counts(
    tmp_path: Path, body: bytes, tokens: int | None
) -> None:
    async def answer(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
        await asked.say(body)

    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession() as session:
            for path in ("/v1/rerank", "/v1/rerank/x"):
                async with session.post(gateway.url + path, json={}) as told:
                    assert await told.read() == body

    log, _ = through(tmp_path, answer, talk)
    assert [(request.path, request.tokens) for request in log.of(PassedOn)] == [("/v1/rerank", tokens)] * 2


def test_what_got_no_answer_is_counted_too(tmp_path: Path) -> None:
    async def hang_up(asked: Asked) -> None:
        raise ConnectionError

    async def talk(gateway: Gateway) -> None:
        for number in range(60):
            request = b"GET /v%d/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % number
            assert b" 502 " in await exchanged(gateway.url, request)

    log, _ = through(tmp_path, hang_up, talk)
    passed = log.of(PassedOn)
    assert {request.status for request in passed} == {502}
    assert Counter(request.path for request in passed)["other paths"] == 10


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_of_any_size_passes_unless_it_is_to_be_measured(tmp_path: Path, chunked: bool) -> None:
    piece, count = BYTES * 100, 70  # 70 MB, where a measured body may have 64 MiB
    arrived: list[str] = []

    async def take(asked: Asked) -> None:
        arrived.append(hashlib.sha256(asked.raw).hexdigest())
        await asked.say(ANSWER + b"Content-Length: 2\r\n\r\nok")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield piece

    async def talk(gateway: Gateway) -> None:
        headers = JSON if chunked else JSON | {"Content-Length": str(count * len(piece))}
        async with aiohttp.ClientSession() as session:
            for path, status in (("/files", 201), ("/chat/completions", 413)):
                async with session.post(gateway.base_url() + path, data=pieces(), headers=headers) as answer:
                    assert answer.status == status

    through(tmp_path, take, talk)
    assert arrived == [hashlib.sha256(piece * count).hexdigest()]


def test_who_answers_before_an_upload_has_ended_is_heard(tmp_path: Path) -> None:
    """The server reads a little of a large file, refuses it and leaves."""

    async def run() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(100_000)
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n")
            await writer.drain()
            await asyncio.sleep(0.5)
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, Gateway(url, None, GatewayConfig(port=0)) as gateway, aiohttp.ClientSession() as session:
            async with session.post(f"{gateway.base_url()}/files", data=b"x" * (65 << 20)) as answer:
                assert (answer.status, await answer.text()) == (413, "no\n")

    uvloop.run(run())


def test_a_large_download_waits_for_its_reader(tmp_path: Path) -> None:
    sent, count, piece = 0, 1000, b"x" * 100_000  # far more than the buffers of two connections take

    async def flood(asked: Asked) -> None:
        nonlocal sent
        await asked.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (count * len(piece)))
        for _ in range(count):
            await asked.say(piece)
            sent += 1

    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/v1/files/f/content") as answer:
            before = -1
            while before != sent:  # until the upstream can write no more
                before = sent
                await asyncio.sleep(0.5)
            assert 0 < sent < count / 2
            assert sum([len(data) async for data in answer.content.iter_any()]) == count * len(piece)

    through(tmp_path, flood, talk)


def test_what_breaks_off_breaks_off_and_who_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    async def cut(asked: Asked) -> None:
        await asked.say(ANSWER + b"Content-Length: 900\r\n\r\nabc")
        raise ConnectionError

    async def talk(gateway: Gateway) -> None:
        request = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert (await exchanged(gateway.url, request)).endswith(b"content-length: 900\r\n\r\nabc")

    through(tmp_path, cut, talk)

    async def nobody() -> None:
        async with Gateway("http://127.0.0.1:9", None, GatewayConfig(port=0)) as gateway:
            with pytest.raises(openai.InternalServerError, match="cannot connect"):
                await client(gateway).embeddings.create(model="m", input="x")

    uvloop.run(nobody())


def test_a_recording_has_what_passed_byte_by_byte(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> None:
        body = BYTES + asked.head.split(" ")[1].encode() + str(asked.body).encode()
        await asked.say(ANSWER + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    heard: list[list[bytes]] = []

    async def talk(gateway: Gateway) -> None:
        answers = []
        async with aiohttp.ClientSession() as session:
            for path, body in (("/v1/x", {"a": 1}), ("/v1/x", {"a": 2}), ("/v1/x?y", {"a": 1})):
                async with session.post(gateway.url + path, json=body) as told:
                    answers.append(await told.read())
        heard.append(answers)

    through(tmp_path / "run", answer, talk, record=tmp_path / "tape")

    async def again() -> None:
        async with Gateway("http://127.0.0.1:9", None, GatewayConfig(port=0, replay=tmp_path / "tape")) as gateway:
            await talk(gateway)
            with pytest.raises(openai.NotFoundError, match="asked /v1/embeddings this never"):
                await client(gateway).embeddings.create(model="m", input="x")

    uvloop.run(again())
    assert len(set(heard[0])) == 3
    assert heard[0] == heard[1]
