"""The measuring client against servers that speak HTTP in every way that is allowed, and in some that are not."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.errors import InputError
from shosei.wire import connection, sse
from shosei.wire.client import Client, Reply
from shosei.wire.reply import ReplyReader

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\n"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}
WHOLE = json.dumps(
    {"id": "chatcmpl-1", "choices": [{"message": {"content": "你好"}, "finish_reason": "stop"}], "usage": USAGE},
    ensure_ascii=False,
).encode()
TEXTS = ["你", "好，", "世界\n", "。"]
EVENTS = [
    {"id": "chatcmpl-2", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}], "usage": None},
    *({"id": "chatcmpl-2", "choices": [{"index": 0, "delta": {"content": text}}]} for text in TEXTS),
    {"id": "chatcmpl-2", "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
    {"id": "chatcmpl-2", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
]
STREAM = b"".join(sse.encode(json.dumps(event, ensure_ascii=False).encode()) for event in EVENTS) + b"data: [DONE]\n\n"


def talk(handler: Handler, *bodies: dict[str, object], host: str = "127.0.0.1", **options: float) -> list[Reply]:
    """Ask ``bodies`` one after the other over one client; ``handler`` gets each connection."""

    async def run() -> list[Reply]:
        server = await asyncio.start_server(handler, host, 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Client(f"http://{f'[{host}]' if ':' in host else host}:{port}/v1/") as client:
            return [await client.ask("/v1/chat/completions", body, **options) for body in bodies]

    return asyncio.run(run())


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return head + await reader.readexactly(length)


def answering(*parts: bytes, close: bool = False, pause_s: float = 0.0) -> Handler:
    """Answers every request of a connection with ``parts``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await read_request(reader)
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(pause_s)
                if close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return handle


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12), crlf=st.booleans())
def test_a_stream_cut_anywhere_reads_the_same(cuts: list[int], crlf: bool) -> None:
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else b": comment\n" + STREAM
    reply = Reply("req-1", 0, stream=True)
    reader = ReplyReader(reply)
    reader.begin(200, [], 1)
    edges = [0, *sorted(cuts), len(stream)]
    for now, (begin, end) in enumerate(itertools.pairwise(edges), 10):
        reader.feed(stream[begin:end], now)
    reader.finish()
    assert (reply.text, reply.finish_reason, reply.error) == ("".join(TEXTS), "length", "")
    assert (reply.tokens_in, reply.tokens_out, reply.tokens_cached) == (3, 4, None)
    assert (reply.id, reply.bytes_received) == ("chatcmpl-2", len(stream))
    # A piece came when its event was whole.
    blank = b"\r\n\r" if crlf else b"\n\n"  # a line may end with CR alone
    ends = [stream.index(blank, stream.index(text[0].encode())) + len(blank) for text in TEXTS]
    came = [next(now for now, edge in enumerate(edges[1:], 10) if edge >= end) for end in ends]
    assert reply.first_token_ns == came[0]
    assert reply.longest_gap_ns == max(after - before for before, after in itertools.pairwise(came))


def test_an_answer_of_calls_alone_is_an_answer() -> None:
    call = {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": "{}"}}
    deltas = [{"role": "assistant", "content": ""}, {"tool_calls": [call]}, {"tool_calls": [more]}]
    stream = [sse.encode(json.dumps({"choices": [{"delta": delta}]}).encode()) for delta in deltas]
    streamed, whole = Reply("req-1", 0, stream=True), Reply("req-2", 0)
    message = json.dumps({"choices": [{"message": {"content": None, "tool_calls": [call]}}]}).encode()
    for reply, parts in ((streamed, [*stream, b"data: [DONE]\n\n"]), (whole, [message])):
        reader = ReplyReader(reply)
        reader.begin(200, [], 1)
        for now, part in enumerate(parts, 10):
            reader.feed(part, now)
        reader.finish()
        assert (reply.text, reply.error) == ("", "")
    assert (streamed.first_token_ns, streamed.longest_gap_ns) == (11, 1)


@given(data=st.binary(max_size=200), stream=st.booleans(), status=st.sampled_from([200, 302, 400, 404, 429, 500]))
def test_no_answer_makes_the_reader_raise(data: bytes, stream: bool, status: int) -> None:
    for body in (
        data,
        b"data: " + data + b"\n\n",
        b'data: {"choices": [null]}\n\n',
        b'{"choices": 3}',
        b'{"error": []}',
        b'data: {"error": "\xff"}\n\n',
        b'{"choices": [{"message": {"content": "\xff"}}]}',
        b'{"choices": [], "usage": {"prompt_tokens": "many"}}',
    ):
        reply = Reply("req-1", 0, stream=stream)
        reader = ReplyReader(reply)
        reader.begin(status, [], 1)
        reader.feed(body, 2)
        reader.finish()
        assert reply.error


def test_an_answer_in_parts_and_one_of_reasoning_are_read() -> None:
    parts, reasoning = Reply("req-1", 0), Reply("req-2", 0)
    content = [{"type": "text", "text": "你"}, {"type": "text", "text": "好"}]
    for reply, message in ((parts, {"content": content}), (reasoning, {"reasoning_content": "嗯"})):
        reader = ReplyReader(reply)
        reader.begin(200, [], 1)
        reader.feed(json.dumps({"choices": [{"message": message}]}).encode(), 2)
        reader.finish()
    assert (parts.text, parts.error) == ("你好", "")
    assert reasoning.error == ""


def test_a_stream_is_read_as_one_whatever_was_asked_for() -> None:
    head = b"Content-Type: text/event-stream\r\n"
    for answer in (OK + head + length(STREAM), OK + length(STREAM)):
        (reply,) = talk(answering(answer), {"stream": 1})
        assert (reply.text, reply.error, reply.stream) == ("".join(TEXTS), "", True)
        assert reply.first_token_ns is not None
        (reply,) = talk(answering(answer), {})
        assert (reply.text, reply.error, reply.stream) == ("".join(TEXTS), "", True)


@pytest.mark.parametrize(
    "answer",
    [
        OK + length(WHOLE),
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(WHOLE[:7], WHOLE[7:30], WHOLE[30:]),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + OK + length(WHOLE),
        OK + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 9000) for i in range(30)) + length(WHOLE),
        OK + b"Connection: close\r\n" + length(WHOLE),
        b"HTTP/1.0 200 OK\r\n" + length(WHOLE),
    ],
    ids=["length", "chunked", "100", "huge headers", "close", "1.0"],
)
def test_every_framing_is_read(answer: bytes) -> None:
    close = b"Connection: close" in answer or b"HTTP/1.0" in answer
    replies = talk(answering(answer[:40], answer[40:], close=close), {}, {}, {})
    for reply in replies:
        assert (reply.error, reply.text, reply.status) == ("", "你好", 200)
        assert (reply.tokens_in, reply.tokens_out, reply.tokens_cached) == (5, 2, 3)
        assert reply.first_byte_ns is not None
        assert reply.done_ns is not None
        assert reply.scheduled_ns <= (reply.sent_ns or 0) <= reply.first_byte_ns <= reply.done_ns
        assert (reply.bytes_sent, reply.bytes_received) == (2, len(WHOLE))


@pytest.mark.parametrize("body", [b"Transfer-Encoding: chunked\r\n\r\n" + chunked(STREAM), b"\r\n" + STREAM])
def test_a_stream_may_end_with_its_length_or_its_connection(body: bytes) -> None:
    (reply,) = talk(answering(OK + body, close=True), {"stream": True})
    assert (reply.error, reply.text) == ("", "".join(TEXTS))
    assert reply.first_token_ns is not None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "connect"),
        (b"hello\r\n\r\n", "connect"),
        (OK, "connect"),
        (OK + b"Content-Length: 900\r\n\r\nabc", "cut stream"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(STREAM)[:90], "cut stream"),
        (OK + b"\r\n" + STREAM[: STREAM.index(b'"length"')], "cut stream"),
        (OK + b"\r\n" + STREAM[:-14], ""),  # it says that it is finished, without [DONE]
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "cut stream"),
        (OK + length(b"data: {\n\n"), "malformed"),
        (OK + length(b'data: {"error": "lost"}\n\n'), "5xx"),
        (OK + length(b"data: [DONE]\n\n"), "empty"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "cut stream"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\n" + length(b""), "4xx"),
        (b"HTTP/1.1 401 No\r\n" + length(b'{"error": "key"}'), "4xx"),
        (b"HTTP/1.1 429 Slow\r\n" + length(b"slow"), "429"),
        (b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"no"), "5xx"),
        (b"HTTP/1.1 400 No\r\n" + length(b'{"error": {"code": "context_length_exceeded"}}'), "context limit"),
    ],
)
def test_each_failure_has_its_name(answer: bytes, error: str) -> None:
    (reply,) = talk(answering(answer, close=True), {"stream": True})
    assert reply.error == error
    assert reply.done_ns is not None


def test_an_error_in_a_stream_ends_it_though_the_server_goes_on() -> None:
    answer = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b'data: {"error": {"message": "lost"}}\n\n')[:-5]
    (first, second) = talk(answering(answer), {"stream": True}, {"stream": True})
    assert [(reply.error, reply.message) for reply in (first, second)] == [("5xx", "lost")] * 2


def test_a_connection_is_kept_and_a_closed_one_is_replaced_before_anything_is_written() -> None:
    connections, requests = 0, 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, requests
        connections += 1
        for _ in range(3):  # then it closes without a word
            await read_request(reader)
            requests += 1
            writer.write(OK + length(WHOLE))
        writer.close()

    replies = talk(handle, *[{}] * 9)
    assert [reply.error for reply in replies] == [""] * 9
    assert (connections, requests) == (3, 9)


def test_a_request_that_was_written_is_never_written_again() -> None:
    requests = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        writer.write(OK + length(WHOLE))
        await read_request(reader)
        requests += 1
        writer.close()

    first, second = talk(handle, {}, {})
    assert (first.error, second.error, requests) == ("", "connect", 1)


def test_a_timeout_and_a_cancelled_request_leave_no_connection() -> None:
    closed = asyncio.Semaphore(0)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        assert not await reader.read()
        closed.release()
        writer.close()

    async def run() -> Reply:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server, Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            late = await client.ask("/", {}, timeout_s=0.05)
            await closed.acquire()
            reply = client.reply(stream=False)
            task = asyncio.create_task(client.post("/", b"{}", reply))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await closed.acquire()
            assert (reply.error, reply.done_ns) == ("cancelled", None)
            return late

    late = asyncio.run(run())
    assert late.error == "timeout"
    assert late.done_ns is not None


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_ipv6_address_is_written_in_brackets() -> None:
    hosts = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hosts.append((await read_request(reader)).split(b"\r\n")[1])
        writer.write(OK + length(WHOLE))

    try:
        (reply,) = talk(handle, {}, host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    assert reply.error == ""
    assert hosts[0].startswith(b"Host: [::1]:")


@pytest.mark.system
@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_https_checks_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    async def run() -> list[Reply]:
        server = await asyncio.start_server(answering(OK + length(WHOLE)), "127.0.0.1", 0, ssl=tls)
        async with server, Client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            return [await client.ask("/v1/chat/completions", {}) for _ in range(2)]

    connection.tls_context.cache_clear()
    assert [reply.error for reply in asyncio.run(run())] == ["connect"] * 2
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    connection.tls_context.cache_clear()
    assert [reply.text for reply in asyncio.run(run())] == ["你好"] * 2
    connection.tls_context.cache_clear()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://[::1", "http://x:y", "http://a:b@c"])
def test_what_is_no_url_is_one_line(url: str) -> None:
    with pytest.raises(InputError, match="is not a URL"):
        Client(url)


def test_nothing_there_is_a_failed_connection_and_an_input_error() -> None:
    async def run() -> Reply:
        async with Client("http://127.0.0.1:9") as client:
            with pytest.raises(InputError, match="no answer from"):
                await client.models()
            return await client.ask("/v1/chat/completions", {})

    reply = asyncio.run(run())
    assert (reply.error, reply.status, reply.first_byte_ns) == ("connect", None, None)


def test_a_key_with_a_line_break_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk\r\nX: y")
    with pytest.raises(InputError, match="OPENAI_API_KEY") as caught:
        Client("http://127.0.0.1:9")
    assert "sk" not in str(caught.value)
