"""Every shape of answer, direct and through the gateway: the official client sees the same, a socket the same bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import openai
import pytest

from answer_shapes import SHAPES, USAGE, Shape
from gateway_upstream import QUESTION, Asked, exchanged, framed, through, unchunked
from shosei.gateway import Gateway

FRAMINGS = ("chunked", "content-length", "close")
# What may pass with the upstream's id: what nobody can read, or reads; and what our reader does not take.
KEEP_THEIR_ID = {
    "cut within a chunk",
    "events after done",
    "invalid utf-8",
    "last event without a blank line",
    "whole, invalid utf-8",
    "whole, truncated",
    "byte order mark",
    "index null",
    "lines end with cr",
}
ASKS_USAGE = {"stream_options": {"include_usage": True}}


def http(shape: Shape, framing: str, cut: bool) -> bytes:
    """The shape as an answer; ``cut``: it breaks off within its body."""
    head = f"HTTP/1.1 {shape.status} X\r\nContent-Type: {shape.content_type}\r\nServer: other\r\nX-Kept: 1\r\n".encode()
    body = shape.body[: len(shape.body) * 2 // 3] if cut else shape.body
    if framing == "content-length":
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(shape.body), body)
    if framing == "close":
        return head + b"Connection: close\r\n\r\n" + body
    pieces = [body[at : at + 50] for at in range(0, len(body), 50)]
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(map(framed, pieces)) + (b"" if cut else b"0\r\n\r\n")


def without_id(value: Any) -> Any:
    if isinstance(value, str):  # a stream that was not asked for, as the client hands it on
        return re.sub(r'"id":"[^"]*"', '"id":ID', value)
    return {name: field for name, field in value.items() if name != "id"} if isinstance(value, dict) else value


def clients(gateway: Gateway) -> list[openai.AsyncOpenAI]:
    """One that asks the server behind the gateway, and one that asks the gateway."""
    urls = (f"{upstream_of(gateway)}/v1", gateway.base_url())
    return [openai.AsyncOpenAI(base_url=url, api_key="placeholder", max_retries=0) for url in urls]


async def seen(asking: openai.AsyncOpenAI, shape: Shape, **options: Any) -> list[Any]:
    """What the official client makes of an answer: objects, or the exception and its words."""
    objects: list[Any] = []
    try:
        answer: Any = await asking.chat.completions.create(**QUESTION, stream=shape.stream, **options)
        if shape.stream:
            async for part in answer:
                objects.append(without_id(part.to_dict() if isinstance(part, openai.BaseModel) else part))
        else:
            objects.append(without_id(answer.to_dict() if isinstance(answer, openai.BaseModel) else answer))
    except Exception as error:
        objects.append((type(error), str(error)))
    return objects


def masked(answer: bytes) -> bytes:
    """The body of an answer but for the ids of chunks."""
    body = unchunked(answer)
    body = re.sub(rb'"id":\s*("(chatcmpl-[0-9a-f]{40}|c-1|)"|17|null)(?=,)', b'"id":ID', body)
    return body.replace(b'{"id":ID,"choices"', b'{"choices"')  # an answer without any id gets one


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_client_sees_what_it_would_see_without_the_gateway(tmp_path: Path, framing: str, cut: bool) -> None:
    by_name = {str(number): http(shape, framing, cut) for number, shape in enumerate(SHAPES)}
    different: list[str] = []
    kept_id: set[str] = set()

    async def answer(asked: Asked) -> None:
        await asked.say(by_name[asked.body["user"]])
        if cut or framing == "close" or "connection: close" in asked.head.lower():
            raise ConnectionError

    async def talk(gateway: Gateway) -> None:
        both = clients(gateway)
        for number, shape in enumerate(SHAPES):
            options = {"user": str(number)} | (ASKS_USAGE if shape.stream else {})
            direct, through = [await seen(asking, shape, **options) for asking in both]
            if direct != through:
                different.append(f"{shape.name}: {direct} became {through}")
            body = json.dumps({**QUESTION, "stream": shape.stream, **options}).encode()
            head = (
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            )
            direct_bytes, bytes_ = [
                await exchanged(url, head % len(body) + body) for url in (upstream_of(gateway), gateway.url)
            ]
            if masked(direct_bytes) != masked(bytes_):
                different.append(f"{shape.name}: {masked(direct_bytes)!r} became {masked(bytes_)!r}")
            if b'"c-1"' in bytes_.replace(b" ", b""):
                kept_id.add(shape.name)
            assert bytes_.split(b" ")[1] == direct_bytes.split(b" ")[1]
            assert all(header in bytes_ for header in (b"server: other\r\n", b"x-kept: 1\r\n"))

    through(tmp_path, answer, talk)
    assert len(SHAPES) >= 60
    assert different == []
    assert cut or kept_id <= KEEP_THEIR_ID


def test_usage_that_only_the_gateway_wants_is_all_that_a_client_does_not_see(tmp_path: Path) -> None:
    """Asked for no usage, a server that gives it in chunks of its own is asked by us, and those are taken out again."""
    streams = [shape for shape in SHAPES if shape.stream and shape.status == 200]
    different: list[str] = []

    def shown(objects: list[Any]) -> list[Any]:
        return [part for part in objects if not (isinstance(part, dict) and part.get("usage") and not part["choices"])]

    async def answer(asked: Asked) -> None:
        await asked.say(http(streams[int(asked.body["user"])], "chunked", False))

    async def talk(gateway: Gateway) -> None:
        both = clients(gateway)
        for number, shape in enumerate(streams):
            direct, through = [await seen(asking, shape, user=str(number)) for asking in both]
            if shown(direct) != through:
                different.append(f"{shape.name}: {direct} became {through}")

    through(tmp_path, answer, talk)
    assert USAGE["prompt_tokens"]
    assert different == []


def upstream_of(gateway: Gateway) -> str:
    """The address of the server behind it."""
    return str(gateway._source._endpoint.base_url)  # type: ignore[attr-defined]
