"""Connections to the server: clients that send without end, slowly or not at all, that do not read, that are many."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plain_client import PlainClient, feed, post
from serve_front import ASK, Front, player
from shosei.wire.accepted import ConnectionLimits

CHAT = "/v1/chat/completions"
START = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = post(CHAT, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
LONG = b"a" * 400_000


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    return player(tmp_path)


@pytest.mark.parametrize(
    "request_bytes",
    [
        START + b"X: " + LONG,
        START + b"X: " + LONG + b"\r\n\r\n",
        START + b"X: y\r\n" * 101 + b"\r\n",
        START + b"X" + LONG,
        b"GET /" + LONG,
        CHUNKED + b"2\r\n{}\r\n0\r\nX: " + LONG,
    ],
    ids=["endless value", "large field", "many fields", "endless name", "endless target", "endless trailer"],
)
def test_a_header_without_end_is_refused_and_read_no_further(play: Callable[..., None], request_bytes: bytes) -> None:
    async def scene(front: Front) -> None:
        client = await PlainClient.connect(front.url)
        sending = asyncio.create_task(feed(client, request_bytes))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (431, "close")
        assert "65536 bytes or 100 fields" in answer.message
        assert await client.ended()
        await sending
        client.close()

    play(scene)


def test_a_header_within_the_limits_and_a_body_in_small_pieces_are_read(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        client = await PlainClient.connect(front.url)
        await client.send(START + b"X: y\r\n" * 99 + b"\r\n")
        assert (await client.answer()).status == 200
        await client.send(START + b"X: " + b"a" * 65_000 + b"\r\n\r\n")
        assert (await client.answer()).status == 200
        await client.send(CHUNKED + b"1\r\n \r\n" * 30_000 + b"2\r\n{}\r\n0\r\n\r\n")
        assert (await client.answer()).status == 400  # it has no messages
        client.close()

    play(scene)


def test_an_offer_of_another_protocol_is_not_taken_and_the_request_is_answered(play: Callable[..., None]) -> None:
    """Java's client offers HTTP/2 with each request over http."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"

    async def scene(front: Front) -> None:
        client = await PlainClient.connect(front.url)
        for request in (post(CHAT, ASK), START + b"\r\n", post(CHAT, ASK)):
            await client.send(request.replace(b"Host:", offer + b"Host:"))
            assert (await client.answer()).status == 200
        tunnel = await PlainClient.connect(front.url)
        await tunnel.send(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
        assert (await tunnel.answer()).status == 405
        assert await tunnel.ended()
        client.close()
        tunnel.close()

    play(scene)


def test_of_requests_that_are_sent_all_at_once_the_first_is_answered(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        client = await PlainClient.connect(front.url)
        await feed(client, post(CHAT, ASK) * 3000)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.ended()
        assert len(front.engine.submitted) == 1
        client.close()

    play(scene)


def test_a_client_that_leaves_behind_requests_sent_at_once_frees_the_engine(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        client = await PlainClient.connect(front.url)
        await client.send(post(CHAT, ASK) * 3)
        while not front.engine.submitted:
            await asyncio.sleep(0.01)
        client.close()
        await front.engine.cancelled.wait()
        assert len(front.engine.submitted) == 1

    play(scene, after="hang")


@pytest.mark.parametrize(
    ("begun", "what"), [(START, "header"), (b"G", "header"), (post(CHAT, b"{", length=100), "body")]
)
def test_a_request_that_does_not_come_is_408(play: Callable[..., None], begun: bytes, what: str) -> None:
    async def scene(front: Front) -> None:
        client = await PlainClient.connect(front.url)
        await client.send(begun)
        answer = await client.answer()
        assert answer.status == 408
        assert what in answer.message
        assert await client.ended()
        client.close()

    play(scene, limits=ConnectionLimits(header_s=0.2, body_s=0.2))


def test_a_body_that_comes_fast_enough_is_waited_for(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        client = await PlainClient.connect(front.url)
        await client.send(post(CHAT, b'{"messages": [', length=16_000))
        for _ in range(15):
            await client.send(b" " * 1000)
            await asyncio.sleep(0.1)
        await client.send(b" " * (16_000 - 15_000 - len(b'{"messages": [') - 2) + b"]}")
        assert (await client.answer()).status == 400  # the list is empty
        client.close()

    play(scene, limits=ConnectionLimits(body_s=0.1, body_bytes_per_s=2000))


def test_who_sends_no_body_takes_nobodys_place(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        held = [await PlainClient.connect(front.url) for _ in range(6)]
        for client in held:
            await client.send(post(CHAT, b"{", length=100))
        await asyncio.sleep(0.1)
        status, body = await front.post(ASK)
        assert (status, body["choices"][0]["message"]["content"]) == (200, "今天")
        for client in held:
            client.close()

    play(scene, text="今天", slots=1)  # and one may wait


def test_who_reads_no_stream_is_left_and_frees_the_engine(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        client = await PlainClient.connect(front.url, receive_bytes=2048)
        await client.send(post(CHAT, {**ASK, "stream": True, "n": 4}))
        await front.engine.cancelled.wait()
        assert (await front.event()).error == "disconnect"
        client.close()

    play(scene, text="今天天气怎么样？" * 200, after="hang", limits=ConnectionLimits(unread_s=0.3))


def test_who_reads_slowly_gets_the_whole_stream(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        client = await PlainClient.connect(front.url, receive_bytes=2048)
        await client.send(post(CHAT, {**ASK, "stream": True, "n": 4}))
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += await client.reader.read(1 << 16)
            await asyncio.sleep(0.01)
        assert b"data: [DONE]" in received
        client.close()

    play(scene, text="今天天气怎么样？" * 200, limits=ConnectionLimits(unread_s=3))


def test_an_idle_connection_is_closed(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        used, unused = [await PlainClient.connect(front.url) for _ in range(2)]
        assert (await used.ask("/livez")).status == 200
        assert await used.ended()
        assert await unused.ended()
        used.close()
        unused.close()

    play(scene, limits=ConnectionLimits(idle_s=0.3))


def test_the_connection_that_idles_longest_makes_room(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        sending, first, second = [await PlainClient.connect(front.url) for _ in range(3)]
        await sending.send(START)
        for client in (second, first):
            assert (await client.ask("/livez")).status == 200
        third = await PlainClient.connect(front.url)
        assert (await third.ask("/v1/models")).status == 200
        assert await second.ended()
        assert (await first.ask("/livez")).status == 200
        await sending.send(b"\r\n")
        assert (await sending.answer()).status == 200

    play(scene, limits=ConnectionLimits(connections=3))


def test_where_all_connections_are_busy_probes_still_have_places(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        busy = [await PlainClient.connect(front.url) for _ in range(2)]
        for client in busy:
            await client.send(post(CHAT, ASK))
        while len(front.engine.submitted) < 2:
            await asyncio.sleep(0.01)
        for path in ("/livez", "/health", "/metrics"):
            client = await PlainClient.connect(front.url)
            assert (await client.ask(path)).status == 200
        refused = await PlainClient.connect(front.url)
        answer = await refused.ask("/v1/models")
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert int(answer.headers["retry-after"]) >= 1
        assert "All 2 connections" in answer.message
        assert await refused.ended()
        for client in busy:
            client.close()
        await front.engine.cancelled.wait()
        assert (await (await PlainClient.connect(front.url)).ask("/v1/models")).status == 200

    play(scene, after="hang", limits=ConnectionLimits(connections=2, kept=1))


def test_connections_are_no_more_than_the_files_that_may_be_open() -> None:
    program = "from shosei.wire.accepted import ConnectionLimits as L; print(L().within_open_files().connections)"

    def connections(soft: int, hard: int) -> int:
        limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
        done = subprocess.run([sys.executable, "-c", limit + program], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert connections(64, 400) == 400 - 128 - 16
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= 2000:
        assert connections(64, 2000) == 800


def test_a_server_that_is_to_stop_refuses_further_requests_and_ends_those_under_way(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        kept = await PlainClient.connect(front.url)
        assert (await kept.ask("/livez")).status == 200
        async with front.http.post(f"{front.url}{CHAT}", json={**ASK, "stream": True}) as response:
            await response.content.readline()
            front.server.should_exit = True
            while (await (await PlainClient.connect(front.url)).ask("/v1/models")).status == 200:
                await asyncio.sleep(0.01)
            assert (await (await PlainClient.connect(front.url)).ask("/readyz")).status == 503
            assert (await (await PlainClient.connect(front.url)).ask("/livez")).status == 200
            for client in (kept, await PlainClient.connect(front.url)):
                await client.send(post(CHAT, ASK))
                answer = await client.answer()
                assert (answer.status, answer.headers["connection"]) == (503, "close")
                assert int(answer.headers["retry-after"]) >= 1
                assert "being stopped" in answer.message
                assert await client.ended()
            front.engine.go_on.set()
            assert (await response.read()).endswith(b"data: [DONE]\n\n")
        while await listens(front.url):
            await asyncio.sleep(0.02)
        assert len(front.engine.submitted) == 1

    play(scene, text="今天", after="wait", drain_s=15)


async def listens(url: str) -> bool:
    try:
        (await PlainClient.connect(url)).close()
    except ConnectionError:
        return False
    return True


def test_a_whole_answer_that_is_cut_at_the_end_is_503(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        asking = asyncio.create_task(front.post(ASK))
        while not front.engine.submitted:
            await asyncio.sleep(0.01)
        front.server.should_exit = True
        status, body = await asking
        assert (status, body["error"]["code"]) == (503, "stopped")
        assert (await front.event()).error == "5xx"

    play(scene, after="hang", drain_s=0.1)
