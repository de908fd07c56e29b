"""What a server sends, however bad, is read or is the error of its request: nothing raises, and the log takes it."""

from __future__ import annotations

import asyncio
import copy
import json
import socket
import threading
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.errors import InputError
from shosei.log.answer_events import Score
from shosei.log.events import Request
from shosei.wire import reply as replies
from shosei.wire import sse
from shosei.wire.client import Client
from shosei.wire.endpoint import Endpoint, is_ready
from shosei.wire.reply import Reply, ReplyReader
from shosei.wire.thoughts import said_in

GOOD: dict[str, Any] = {
    "id": "chatcmpl-1",
    "choices": [
        {
            "index": 0,
            "message": {
                "content": "答",
                "reasoning_content": "考",
                "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}],
            },
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}},
    "error": None,
}
PLACES = [
    ("id",),
    ("choices",),
    ("choices", 0),
    ("choices", 0, "index"),
    ("choices", 0, "message"),
    ("choices", 0, "message", "content"),
    ("choices", 0, "message", "reasoning_content"),
    ("choices", 0, "message", "tool_calls"),
    ("choices", 0, "message", "tool_calls", 0, "function"),
    ("choices", 0, "message", "tool_calls", 0, "function", "arguments"),
    ("choices", 0, "finish_reason"),
    ("usage",),
    ("usage", "prompt_tokens"),
    ("usage", "prompt_tokens_details"),
    ("error",),
]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "type", "a"]), inner, max_size=2)
    ),
    max_leaves=6,
)


def read(body: bytes, *, status: int = 200, stream: bool = False) -> Reply:
    reply = Reply("req-1", 0, stream=stream)
    reader = ReplyReader(reply)
    reader.begin(status, [], 1)
    reader.feed(body, 2)
    reader.finish()
    return reply


@given(place=st.sampled_from(PLACES), junk=JUNK, stream=st.booleans(), status=st.sampled_from([200, 400, 500]))
def test_any_value_in_any_place_is_read_or_is_an_error(
    place: tuple[str | int, ...], junk: Any, stream: bool, status: int
) -> None:
    answer = copy.deepcopy(GOOD)
    inner: Any = answer
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = junk
    body = json.dumps(answer).encode()
    reply = read(sse.encode(body) + b"data: [DONE]\n\n" if stream else body, status=status, stream=stream)
    assert isinstance(reply.text, str)
    event = reply.event("exam", task="a")
    assert msgspec.json.decode(msgspec.json.encode(event), type=Request) == event
    kept = Score(
        suite="s",
        item="a",
        cluster="a",
        grader="exact",
        truth="x",
        answer=reply.text,
        finish_reason=reply.finish_reason,
        reasoning=reply.reasoning,
    )
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Score) == kept


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02", b"HTTP/1.1 two hundred\r\n\r\n", b""]
)
def test_what_is_no_server_is_not_ready(said: bytes) -> None:
    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        assert not is_ready(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [200, 500])
def test_a_body_without_end_is_left(monkeypatch: pytest.MonkeyPatch, stream: bool, status: int) -> None:
    monkeypatch.setattr(replies, "ANSWER_BYTES", 1 << 20)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\n\r\ndata: " % status)
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            pass

    async def run() -> Reply:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server, Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            return await client.ask("/v1/chat/completions", {"stream": stream}, timeout_s=30)

    reply = asyncio.run(run())
    assert (reply.error, "longer than 1 MiB" in reply.message) == ("malformed" if status == 200 else "5xx", True)
    assert reply.bytes_received < 4 << 20


@pytest.mark.parametrize(
    ("value", "expected"), [(b"3", 3.0), (b"0.5", 0.5), (b"-2", 0.0), (b"soon", None), (b"\xff", None)]
)
def test_when_a_server_wants_to_be_asked_again(value: bytes, expected: float | None) -> None:
    reply = Reply("req-1", 0)
    ReplyReader(reply).begin(429, [(b"retry-after", value)], 1)
    assert reply.retry_after_s == expected


def test_a_date_is_a_time_from_now() -> None:
    reply = Reply("req-1", 0)
    ReplyReader(reply).begin(503, [(b"retry-after", b"Fri, 01 Jan 2100 00:00:00 GMT")], 1)
    assert (reply.retry_after_s or 0.0) > 1e6


def test_thoughts_among_the_parts_are_no_text() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "考"}]},
        {"type": "reasoning", "text": "え"},
        {"type": "text", "text": "答"},
        {"text": "え"},
        "?",
    ]
    assert (said_in(parts), said_in(parts, thoughts=True)) == ("答え", "考え")


def models(status: int, body: Any, name: str = "") -> str:
    """The model that a client finds where ``/v1/models`` answers so."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        data = json.dumps(body).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data))
        writer.close()

    async def run() -> str:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server, Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            return await client.model(name, "--model NAME")

    return asyncio.run(run())


@pytest.mark.parametrize(
    "page", ["", "/", "/v1", "/v1/", "/v1/models", "/v1/chat/completions", "/chat/completions", "/v1/completions/"]
)
def test_an_address_may_be_that_of_a_page(page: str) -> None:
    endpoint = Endpoint.of(f"https://h:1/team{page}?v=1")
    assert (endpoint.base_url, endpoint.path, endpoint.query) == ("https://h:1/team", "/team", "?v=1")
    assert Endpoint.of(f"http://h{page}").path == ""
    for host in ("models", "completions", "responses", "v1"):
        assert Endpoint.of(f"http://{host}{page}").base_url == f"http://{host}"


def test_a_model_is_the_first_that_is_served_or_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    served = {"data": [{"id": "甲", "max_model_len": 512}, {"id": "乙"}]}
    assert (models(200, served), models(200, served, "丙"), models(404, "no such page", "丙")) == ("甲", "丙", "丙")
    with pytest.raises(InputError, match="lists no model: name one with --model NAME"):
        models(200, {"data": []})
    with pytest.raises(
        InputError, match=r"server \(status 404\): if this is its address, name a model of it with --model NAME$"
    ):
        models(404, "no such page")
    with pytest.raises(InputError, match="does not answer as an OpenAI-compatible server"):
        models(200, {"data": [{"id": None}]})
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    refused = {"error": {"message": "no key given"}}
    with pytest.raises(InputError, match=r"the server wants a key: set OPENAI_API_KEY \(401\): no key given"):
        models(401, refused, "丙")
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    with pytest.raises(InputError, match=r"the server refused the key \(403\): no key given$"):
        models(403, refused)


def test_what_follows_a_path_follows_every_path() -> None:
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1])
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"data":[{"id":"m"} ]}')
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Client(f"http://127.0.0.1:{port}/at/v1?api-version=7&x=%20") as client:
            await client.models()
            await client.ask("/v1/chat/completions", {})

    asyncio.run(run())
    assert asked == [b"/at/v1/models?api-version=7&x=%20", b"/at/v1/chat/completions?api-version=7&x=%20"]
