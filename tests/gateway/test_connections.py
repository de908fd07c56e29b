"""Connections to a gateway: clients that send without end or not at all, that do not read; the end of a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvloop

from gateway_upstream import (
    CHUNKS,
    OK,
    QUESTION,
    STREAM,
    Asked,
    Handler,
    completion,
    page,
    serving,
    silent,
    through,
    unchunked,
)
from plain_client import PlainClient, feed, post
from shosei.gateway import Gateway, GatewayConfig
from shosei.gateway.bodies import Bodies, Body
from shosei.log import Request
from shosei.wire.accepted import ConnectionLimits

CHAT = "/v1/chat/completions"


async def well(asked: Asked) -> None:
    await asked.say(OK + page(completion()))


def test_what_is_no_whole_request_is_refused_while_others_are_answered() -> None:
    async def talk(gateway: Gateway) -> None:
        endless = await PlainClient.connect(gateway.url)
        sending = asyncio.create_task(feed(endless, b"GET / HTTP/1.1\r\nX: " + b"a" * 400_000))
        many = await PlainClient.connect(gateway.url)
        await many.send(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n")
        header, body = [await PlainClient.connect(gateway.url) for _ in range(2)]
        await header.send(b"GET / HTTP/1.1\r\n")
        await body.send(post(CHAT, b"{", length=100))
        for client, status in ((endless, 431), (many, 431), (header, 408), (body, 408)):
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (status, "close")
            assert answer.message
            assert await client.ended()
            client.close()
        await sending
        good = await PlainClient.connect(gateway.url)
        await good.send(post(CHAT, QUESTION))
        assert (await good.answer()).status == 200
        assert await good.ended()  # it idles
        good.close()

    async def run() -> None:
        limits = ConnectionLimits(header_s=0.5, body_s=0.5, idle_s=0.5)
        async with serving(well) as upstream:
            async with Gateway(upstream.url, None, limits=limits) as gateway, asyncio.timeout(30):
                await talk(gateway)

    uvloop.run(run())


def test_a_thousand_offers_of_another_protocol_at_once_are_a_thousand_requests() -> None:
    """Each was read within the one before, until there was no stack left and the connection ended."""
    offer = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"

    async def run() -> None:
        async with serving(well) as upstream, Gateway(upstream.url, None) as gateway, asyncio.timeout(60):
            client = await PlainClient.connect(gateway.url)
            await client.send(offer * 1500)
            assert {(await client.answer()).status for _ in range(1500)} == {200}
            client.close()

    uvloop.run(run())


def test_a_client_that_reads_nothing_is_left_and_others_have_places_meanwhile() -> None:
    left = asyncio.Event()

    async def endless(asked: Asked) -> None:
        with contextlib.suppress(ConnectionError):
            await asked.say(STREAM)
            while True:
                await asked.say(*CHUNKS * 50)
        left.set()

    async def run() -> None:
        limits = ConnectionLimits(connections=1, unread_s=0.5)
        async with serving(endless) as upstream, asyncio.timeout(30):
            async with Gateway(upstream.url, None, limits=limits) as gateway:
                client = await PlainClient.connect(gateway.url, receive_bytes=2048)
                await client.send(post(CHAT, {**QUESTION, "stream": True}))
                while not upstream.asked:
                    await asyncio.sleep(0.01)
                other = await PlainClient.connect(gateway.url)
                assert (await other.ask("/livez")).status == 200
                await other.send(post(CHAT, QUESTION))
                answer = await other.answer()
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                await left.wait()
                client.close()
                other.close()

    uvloop.run(run())


def large(mebibytes: int) -> bytes:
    """The body of a call that is measured."""
    return json.dumps({**QUESTION, "user": "x" * (mebibytes << 20)}).encode()


@asynccontextmanager
async def gateway_with_room_for_one(handler: Handler) -> AsyncIterator[Gateway]:
    """A gateway whose calls may hold 64 MiB together, before a server that answers by ``handler``."""
    async with serving(handler) as upstream, asyncio.timeout(60):
        async with Gateway(upstream.url, None, GatewayConfig(port=0, body_memory=64 << 20)) as gateway:
            yield gateway


def test_the_body_that_has_been_coming_for_longest_makes_room() -> None:
    async def run() -> None:
        async with gateway_with_room_for_one(well) as gateway:
            slow, quick, small = [await PlainClient.connect(gateway.url) for _ in range(3)]
            await slow.send(post(CHAT, large(40), length=60 << 20))
            await small.send(post(CHAT, b"{", length=len(json.dumps(QUESTION))))  # comes slowly, too
            await quick.send(post(CHAT, large(40)))
            answer = await slow.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "--body-memory" in answer.message
            assert (await quick.answer()).status == 200
            await small.send(json.dumps(QUESTION)[1:].encode())
            assert (await small.answer()).status == 200
            for client in (slow, quick, small):
                client.close()

    uvloop.run(run())


def test_what_still_comes_of_a_body_that_was_given_up_takes_nobodys_room() -> None:
    """A client in chunks may have sent more of them at once than were read when its body was given up."""
    given_up: list[str] = []
    bodies = Bodies(64 << 20)
    first, second, whole = [Body(bodies, partial(given_up.append, name)) for name in ("first", "second", "whole")]
    whole.add(bytes(30 << 20))
    whole.whole()
    first.add(bytes(15 << 20))
    second.add(bytes(20 << 20))
    for _ in range(3):
        first.add(bytes(1 << 20))
    assert given_up == ["first"]
    assert bodies.held < 50 << 20  # of the other two
    for body in (first, second, whole):
        body.release()
    assert bodies.held == 0


def test_bodies_whose_answers_take_long_keep_large_ones_out_and_no_small_ones() -> None:
    hanging = asyncio.Event()

    async def answer(asked: Asked) -> None:
        if len(asked.raw) > 1 << 20 and not hanging.is_set():
            hanging.set()
            await silent(asked)
        await well(asked)

    async def status(gateway: Gateway, body: bytes) -> int:
        client = await PlainClient.connect(gateway.url)
        await feed(client, post(CHAT, body))
        answer = await client.answer()
        client.close()
        return answer.status

    async def run() -> None:
        async with gateway_with_room_for_one(answer) as gateway:
            holder = await PlainClient.connect(gateway.url)
            await holder.send(post(CHAT, large(40)))
            await hanging.wait()
            assert await status(gateway, large(40)) == 503
            assert [await status(gateway, json.dumps(QUESTION).encode()) for _ in range(20)] == [200] * 20
            holder.close()
            while await status(gateway, large(40)) != 200:  # until the gateway has seen that it left
                await asyncio.sleep(0.01)
            assert [await status(gateway, large(40)) for _ in range(4)] == [200] * 4

    uvloop.run(run())


def test_a_large_upload_leaves_room_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    nearly_full = SimpleNamespace(f_bavail=1 << 18, f_blocks=1 << 28, f_frsize=4096)  # 1 GiB of 1 TiB is left
    taken: list[int] = []

    def disk(_descriptor: int) -> SimpleNamespace:
        taken.append(1)
        return SimpleNamespace(**vars(nearly_full) | {"f_bavail": (1 << 18) - (len(taken) > 20)})

    monkeypatch.setattr(os, "fstatvfs", disk)

    async def run() -> None:
        async with gateway_with_room_for_one(well) as gateway:
            client = await PlainClient.connect(gateway.url)
            await feed(client, post("/v1/files", b"x" * (70 << 20)))
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (507, "close")
            assert "nearly full" in answer.message
            other = await PlainClient.connect(gateway.url)
            await other.send(post("/v1/files", b"x" * (20 << 20)))  # in memory
            assert (await other.answer()).status == 200
            client.close()
            other.close()

    uvloop.run(run())


def test_a_gateway_that_ends_refuses_further_calls_and_says_so_in_a_stream_that_it_cuts(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def hanging(asked: Asked) -> None:
        await asked.say(STREAM, *CHUNKS)
        await silent(asked)

    async def listen(client: PlainClient) -> None:
        heard.append(await client.reader.read(-1))

    async def late(gateway: Gateway) -> None:
        """Ask while the gateway ends."""
        client = await PlainClient.connect(gateway.url)
        while (await client.ask("/livez")).status == 200:
            await client.send(post(CHAT, b"no call"))
            if (answer := await client.answer()).status == 503:
                assert (answer.headers["connection"], answer.headers["retry-after"]) == ("close", "1")
                heard.append(answer.body)
                return
            await asyncio.sleep(0.02)

    tasks: list[asyncio.Task[None]] = []

    async def talk(gateway: Gateway) -> None:
        client = await PlainClient.connect(gateway.url)
        await client.send(post(CHAT, {**QUESTION, "stream": True}))
        await client.reader.readuntil(b"\r\n\r\n")
        tasks.append(asyncio.create_task(listen(client)))
        tasks.append(asyncio.create_task(late(gateway)))

    log, _ = through(tmp_path, hanging, talk, drain_s=1.0)
    refused, stream = sorted(heard, key=len)
    assert json.loads(refused)["error"]["message"] == "The server is being stopped"
    events = unchunked(b"transfer-encoding: chunked\r\n\r\n" + stream).split(b"\n\n")
    assert json.loads(events[-2].removeprefix(b"data: "))["error"]["code"] == "stopped"
    assert [event.error for event in log.of(Request) if event.stream] == ["cancelled"]
