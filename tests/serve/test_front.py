"""The front over a scripted engine: admission, errors, stops, and what the log gets to know."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from serve_front import ASK, CONTEXT, TOKENIZER, Front, of_schema, player, tool
from shosei.serve.app import log_line
from shosei.wire import sse


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    return player(tmp_path)


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
        details = {"prompt_tokens_details": {"cached_tokens": 0}}
        assert chunks[-1]["usage"] == usage | details | {"total_tokens": sum(usage.values())}
        event = await front.event()
        assert (event.tokens_in, event.tokens_out) == (usage["prompt_tokens"], tokens)
        assert (event.status, event.error, event.stream, event.seen_by) == (200, "", True, "server")
        assert event.id == chunks[0]["id"]
        assert event.first_token_ns is not None
        assert event.first_answer_ns == event.first_token_ns <= event.last_token_ns <= event.done_ns

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
        ("chat/completions", {"n": 129}, "n", None),
        ("chat/completions", {"stop": ["a"] * 17}, "stop", None),
        ("chat/completions", {"seed": 2**70}, "seed", None),
        ("chat/completions", {"tools": [{"type": "function"}]}, "tools[0].function", None),
        ("completions", {"tools": [{"type": "function"}]}, "tools", None),
        ("completions", {"response_format": {"type": "json_object"}}, "response_format", None),
        ("chat/completions", {"functions": [{"name": "f"}]}, "functions", None),
        ("chat/completions", {"tools": [tool("f"), tool("f")]}, "tools", None),
        ("chat/completions", {"tools": [tool("a b")]}, "tools[0].function.name", None),
        ("chat/completions", {"tools": [tool("f", enum=[])]}, "tools[0].function.parameters", None),
        ("chat/completions", {"tools": [tool("f", title="\ud800")]}, "tools[0].function.parameters.title", None),
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
        ("completions", {"prompt": "天" * CONTEXT}, "prompt", "context_length_exceeded"),
        ("completions", {"prompt": ["a", ""]}, "prompt", None),
        ("completions", {"prompt": ["a"] * 65, "n": 2}, "prompt", None),
        ("completions", {"prompt": [5, 9999]}, "prompt", None),
        ("completions", {"prompt": [-1_000_000]}, "prompt", None),
        ("completions", {"prompt": [2**40]}, "prompt", None),
        ("completions", {"max_tokens": 0}, "max_tokens", None),
        ("completions", {"prompt": ""}, "prompt", None),
        ("completions", {"suffix": "x"}, "suffix", None),
        ("chat/completions", {"top_k": -2}, "top_k", None),
        ("chat/completions", {"repetition_penalty": 0}, "repetition_penalty", None),
        ("chat/completions", {"repetition_penalty": 1e-300}, "repetition_penalty", None),
        ("completions", {"repetition_penalty": 1e4}, "repetition_penalty", None),
        ("chat/completions", {"presence_penalty": 3}, "presence_penalty", None),
        ("chat/completions", {"logit_bias": {"9999": 1}}, "logit_bias", None),
        ("chat/completions", {"stop_token_ids": [-1]}, "stop_token_ids", None),
        ("chat/completions", {"guided_json": "no JSON"}, "guided_json", None),
        ("chat/completions", {"guided_regex": "("}, "guided_regex", None),
        ("chat/completions", {"guided_choice": []}, "guided_choice", None),
        ("chat/completions", {"guided_choice": ["a"], "guided_regex": "a"}, "guided_choice", None),
        (
            "chat/completions",
            {"structured_outputs": {"structural_tag": "{}"}},
            "structured_outputs.structural_tag",
            None,
        ),
        ("chat/completions", {"ignore_eos": True, "guided_choice": ["a"]}, "ignore_eos", None),
        ("completions", {"ignore_eos": True, "guided_choice": ["a"]}, "ignore_eos", None),
        ("chat/completions", {"grammar": 'root ::= "x"'}, "grammar", None),
        ("chat/completions", {"repeat_penalty": 1.1}, "repeat_penalty", None),
        ("chat/completions", {"bad_words": ["x"]}, "bad_words", None),
        ("completions", {"prompt_logprobs": 0}, "prompt_logprobs", None),
        ("chat/completions", {"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs.tools", None),
        ("chat/completions", {"continue_final_message": True}, "continue_final_message", None),
        (
            "chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            "messages[0].content[0]",
            None,
        ),
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


@pytest.mark.parametrize("name", ["messages", "tools", "add_generation_prompt", "continue_final_message"])
def test_what_the_server_gives_a_template_itself_is_no_variable_where_tokens_are_counted_either(
    play: Callable[..., None], name: str
) -> None:
    async def scene(front: Front) -> None:
        status, body = await front.post({**ASK, "chat_template_kwargs": {name: []}}, "/tokenize")
        assert (status, body["error"]["param"]) == (400, f"chat_template_kwargs.{name}")

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
        assert await refused("POST", "/v1/chat/completions", data=b"messages=1") == 415
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


def test_an_access_log_that_cannot_be_written_ends_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    full = Full()
    monkeypatch.setattr(sys, "stderr", full)
    log_line("{}")
    assert full.getvalue() == "{}\n", "it was tried, and nothing is raised"
