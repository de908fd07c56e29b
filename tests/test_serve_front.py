"""The front over a scripted engine: a real socket, real HTTP, and an engine that does exactly what the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn

from shosei.engine.protocol import Cancel, ClientMessage, Failed, FrameDecoder, Hello, Submit, Token, frame
from shosei.log import Request, Writer, read_log
from shosei.log.run import Run
from shosei.serve.app import create_app
from shosei.text import Tokenizer
from shosei.wire import sse
from shosei.wire.listen import listen

CONTEXT = 128
ASK = {"messages": [{"role": "user", "content": "你好"}]}
TOKENIZER = Tokenizer.train(["今天天气怎么样？", "東京の天気は？"], 300)


def tool(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def of_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


@dataclass
class ScriptedEngine:
    """Answers every request with ``text``; ``after`` says what then: end, fail, vanish or hang."""

    path: Path
    text: str = ""
    after: str = "end"
    slots: int = 4
    submitted: list[Submit] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(Hello("scripted", TOKENIZER.vocab_size, CONTEXT, self.slots)))
        decoder = FrameDecoder[ClientMessage](ClientMessage)
        while data := await reader.read(1 << 16):
            for message in decoder.feed(data):
                if isinstance(message, Cancel):
                    self.cancelled.set()
                else:
                    self.submitted.append(message)
                    await self.answer(message, writer)
        writer.close()

    async def answer(self, request: Submit, writer: asyncio.StreamWriter) -> None:
        for token in TOKENIZER.encode(self.text)[: request.max_tokens]:
            writer.write(frame(Token(request.id, token)))
            await asyncio.sleep(0.001)
        if self.after == "end":
            writer.write(frame(Token(request.id, TOKENIZER.end_id, "stop")))
        elif self.after == "fail":
            writer.write(frame(Failed(request.id, "out of memory", "engine_error")))
        elif self.after == "vanish":
            writer.close()


@dataclass
class Front:
    url: str
    engine: ScriptedEngine
    http: aiohttp.ClientSession
    writer: Writer
    server: uvicorn.Server

    async def post(self, body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str) -> tuple[int, Any]:
        async with self.http.post(self.url + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def stream(self, body: dict[str, Any], path: str = "/v1/chat/completions") -> list[Any]:
        decoder = sse.Decoder()
        async with self.http.post(self.url + path, json={**body, "stream": True}) as response:
            assert response.status == 200
            events = decoder.feed(await response.read())
        return [event if event == sse.DONE else json.loads(event) for event in events]

    async def event(self) -> Request:
        """The one request event of the run, once it is there: it is written when the answer has gone out."""
        while True:
            self.writer.flush()
            if found := read_log(self.writer.path.parent, 1).of(Request):
                assert len(found) == 1
                return found[0]
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(folder: Path, **script: Any) -> AsyncIterator[Front]:
    TOKENIZER.save(folder)
    engine = ScriptedEngine(folder / "s", **script)
    server = await asyncio.start_unix_server(engine.talk, engine.path)
    with Run(folder / "run").recording("http") as record, listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = create_app(folder, engine.path, "scripted", writer=record.writer, max_waiting=1)
        front = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        running = asyncio.create_task(front.serve(sockets=[listener]))
        try:
            async with aiohttp.ClientSession() as http:
                yield Front(url, engine, http, record.writer, front)
        finally:
            front.should_exit = True
            await running
            server.close()


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Run a coroutine function against a front whose engine follows the script."""

    def play(scene: Callable[[Front], Any], **script: Any) -> None:
        async def all_of_it() -> None:
            async with serving(tmp_path, **script) as front, asyncio.timeout(20):
                await scene(front)

        asyncio.run(all_of_it())

    return play


MIXED = "你好，東京は晴れ😀👩‍👩‍👧です。"


def test_stream_holds_whole_characters_and_counts_tokens(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        *chunks, done = await front.stream({**ASK, "stream_options": {"include_usage": True}})
        assert done == sse.DONE
        assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[1:-1]]
        assert "".join(pieces) == MIXED
        assert "\ufffd" not in "".join(pieces)
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
        tokens = len(TOKENIZER.encode(MIXED)) + 1
        assert len(pieces) < tokens, "the text must have characters of several tokens for this test to say anything"
        usage = {"completion_tokens": tokens, "prompt_tokens": len(front.engine.submitted[0].prompt)}
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"] == usage | {"total_tokens": sum(usage.values())}
        event = await front.event()
        assert (event.tokens_in, event.tokens_out) == (usage["prompt_tokens"], tokens)
        assert (event.status, event.error, event.stream, event.seen_by) == (200, "", True, "server")
        assert event.id == chunks[0]["id"]
        assert event.first_token_ns is not None

    play(scene, text=MIXED)


@pytest.mark.parametrize("stop", ["東京は晴", "😀", ["ない", "れ😀👩"]])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_stop_string_across_tokens_is_never_shown_and_frees_the_engine(
    play: Callable[..., None], stop: str | list[str], path: str
) -> None:
    async def scene(front: Front) -> None:
        body = {**ASK, "prompt": "问", "stop": stop, "max_tokens": 50}
        status, whole = await front.post(body, path)
        assert status == 200
        choice = whole["choices"][0]
        found = stop if isinstance(stop, str) else stop[1]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        assert (text, choice["finish_reason"]) == (MIXED[: MIXED.index(found)], "stop")
        await front.engine.cancelled.wait()

    play(scene, text=MIXED, after="hang")


@pytest.mark.parametrize("stream", [True, False])
def test_client_that_leaves_cancels_the_engine(play: Callable[..., None], stream: bool) -> None:
    async def scene(front: Front) -> None:
        asking = asyncio.create_task(front.post({**ASK, "stream": stream}))
        while not front.engine.submitted:
            await asyncio.sleep(0.01)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await front.engine.cancelled.wait()
        event = await front.event()
        assert event.error == "disconnect"

    play(scene, text="今天", after="hang")


def test_failure_in_mid_stream_is_an_error_event_and_the_end(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        *_, text, error = await front.stream(ASK)
        assert text["choices"][0]["delta"]["content"]
        assert error["error"]["type"] == "server_error"
        assert "out of memory" in error["error"]["message"]
        assert (await front.event()).error == "5xx"

    play(scene, text="今天天气", after="fail")


def test_engine_that_goes_away_is_503_and_comes_back(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        status, body = await front.post(ASK)
        assert (status, body["error"]["type"]) == (503, "server_error")
        front.engine.after = "end"
        status, body = await front.post(ASK)
        assert (status, body["choices"][0]["message"]["content"]) == (200, "今")

    play(scene, text="今", after="vanish")


@pytest.mark.parametrize(("after", "ending"), [("end", b"data: [DONE]\n\n"), ("hang", b'"code":"stopped"}}\n\n')])
def test_stopping_server_lets_answers_end_or_says_so(play: Callable[..., None], after: str, ending: bytes) -> None:
    async def scene(front: Front) -> None:
        async with front.http.post(f"{front.url}/v1/chat/completions", json={**ASK, "stream": True}) as response:
            await response.content.readline()
            front.server.should_exit = True
            assert (await response.read()).endswith(ending)

    play(scene, text=MIXED, after=after)


def test_too_many_waiting_requests_are_429(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        running = [asyncio.create_task(front.post(ASK)) for _ in range(2)]
        while len(front.engine.submitted) < 2:
            await asyncio.sleep(0.01)
        async with front.http.post(f"{front.url}/v1/chat/completions", json=ASK) as response:
            assert response.status == 429
            assert int(response.headers["Retry-After"]) >= 1
            assert (await response.json())["error"]["type"] == "rate_limit_error"
        for task in running:
            task.cancel()

    play(scene, after="hang", slots=1)


def test_default_cap_is_the_rest_of_the_context(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        await front.post(ASK)
        await front.post({"prompt": "今"}, "/v1/completions")
        chat, text = front.engine.submitted
        assert chat.max_tokens == CONTEXT - len(chat.prompt)
        assert text.max_tokens == 16
        assert text.stop_ids == chat.stop_ids == [TOKENIZER.end_id]

    play(scene)


@pytest.mark.parametrize(
    ("path", "change", "param", "code"),
    [
        ("chat/completions", {"messages": []}, "messages", None),
        ("chat/completions", {"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", None),
        ("chat/completions", {"messages": [{"role": "user", "content": 5}]}, "messages[0].content", None),
        ("chat/completions", {"temperature": -1}, "temperature", None),
        ("chat/completions", {"temperature": "warm"}, "temperature", None),
        ("chat/completions", {"n": 2}, "n", None),
        ("chat/completions", {"stop": ["a"] * 5}, "stop", None),
        ("chat/completions", {"seed": 2**70}, "seed", None),
        ("chat/completions", {"tools": [{"type": "function"}]}, "tools[0].function", None),
        ("completions", {"tools": [{"type": "function"}]}, "tools", None),
        ("completions", {"response_format": {"type": "json_object"}}, "response_format", None),
        ("chat/completions", {"functions": [{"name": "f"}]}, "functions", None),
        ("chat/completions", {"tools": [tool("f"), tool("f")]}, "tools", None),
        ("chat/completions", {"tools": [tool("a b")]}, "tools[0].function.name", None),
        ("chat/completions", {"tools": [tool("f", enum=[])]}, "tools[0].function.parameters", None),
        ("chat/completions", {"tools": [tool("f", title="\ud800")]}, "tools", None),
        ("chat/completions", {"tool_choice": "required"}, "tool_choice", None),
        ("chat/completions", {"tool_choice": "sometimes"}, "tool_choice", None),
        ("chat/completions", {"tools": [tool("f")], "tool_choice": tool("g")}, "tool_choice", None),
        ("chat/completions", {"response_format": {"type": "xml"}}, "response_format.type", None),
        ("chat/completions", {"response_format": {"type": "json_schema"}}, "response_format.json_schema", None),
        ("chat/completions", {"response_format": of_schema({"type": 3})}, "response_format.json_schema.schema", None),
        (
            "chat/completions",
            {"response_format": of_schema({"uniqueItems": True, "type": "array"})},
            "response_format.json_schema.schema",
            None,
        ),
        (
            "chat/completions",
            {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "5"}]},
            "messages[0].tool_call_id",
            None,
        ),
        ("chat/completions", {"max_tokens": 0}, "max_tokens", None),
        ("chat/completions", {"max_tokens": CONTEXT}, "messages", "context_length_exceeded"),
        ("completions", {"prompt": "天" * 200}, "prompt", "context_length_exceeded"),
        ("completions", {"prompt": ["a", "b"]}, "prompt", None),
        ("completions", {"prompt": ""}, "prompt", None),
        ("completions", {"echo": True}, "echo", None),
    ],
)
def test_refused_values_name_their_field(
    play: Callable[..., None], path: str, change: dict[str, Any], param: str, code: str | None
) -> None:
    async def scene(front: Front) -> None:
        status, body = await front.post({**ASK, "prompt": "x", **change}, f"/v1/{path}")
        error = body["error"]
        assert (status, error["type"]) == (400, "invalid_request_error")
        assert (error["param"], error["code"]) == (param, code)
        assert not front.engine.submitted
        assert (await front.event()).error == ("context limit" if code else "4xx")

    play(scene)


def test_other_refusals_have_the_same_form(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        async def refused(method: str, path: str, **arguments: Any) -> int:
            async with front.http.request(method, front.url + path, **arguments) as response:
                assert {"message", "type", "param", "code"} == set((await response.json())["error"])
                return response.status

        json_type = {"Content-Type": "application/json"}
        assert await refused("POST", "/v1/chat/completions", data=b'{"messages": [', headers=json_type) == 400
        assert await refused("POST", "/v1/chat/completions", data=b"\xff\xfe", headers=json_type) == 400
        assert await refused("POST", "/v1/chat/completions", data=b"[" * 100_000, headers=json_type) == 400
        assert await refused("POST", "/v1/chat/completions", data=b"messages=1") == 400
        assert await refused("POST", "/v1/completions", json={"prompt": "x" * (1 << 20)}) == 413
        assert await refused("POST", "/v1/completions", json={"prompt": "x", "model": "other"}) == 404
        assert await refused("GET", "/v1/chat/completions") == 405
        assert await refused("GET", "/v2/models") == 404
        assert await refused("GET", "/v1/models/other") == 404

    play(scene)


def test_purpose_comes_from_the_header(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        await front.post(ASK, **{"X-Shosei-Purpose": "exam"})
        assert (await front.event()).purpose == "exam"

    play(scene)
