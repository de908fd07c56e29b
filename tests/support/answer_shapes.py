"""Answers in the shapes in which servers send them: streams and whole answers, good and bad, a name each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EVENTS, JSON, HTML = "text/event-stream", "application/json", "text/html; charset=utf-8"
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
CACHED = USAGE | {"prompt_tokens_details": {"cached_tokens": 8}}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"市":"京"}'}}
ERROR = {"error": {"message": "内存不足", "type": "server_error", "param": None, "code": 500}}


@dataclass(frozen=True)
class Shape:
    """A server's answer to one chat request; ``stream``: the request asked for a stream."""

    name: str
    body: bytes
    stream: bool = True
    status: int = 200
    content_type: str = EVENTS


def to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def event(value: Any) -> bytes:
    return b"data: " + to_json(value) + b"\n\n"


def chunk(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a stream with one choice; ``more`` replaces fields of the chunk."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]} | more


def calling(*pieces: Any, delta: str = "tool_calls") -> bytes:
    """A stream that calls tools: each piece is what a chunk says of them."""
    return stream(*(chunk({delta: piece}) for piece in pieces), chunk({}, "tool_calls"))


def call(function: Any, **fields: Any) -> list[dict[str, Any]]:
    return [fields | {"function": function}]


def stream(*chunks: Any, end: bytes = DONE) -> bytes:
    return b"".join(map(event, chunks)) + end


def completion(message: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """A whole answer; ``more`` replaces fields of it."""
    choice = {"index": 0, "message": message, "finish_reason": finish}
    answer = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    return answer | more


ROLE, STOP = chunk({"role": "assistant", "content": ""}), chunk({}, "stop")
NI, HAO = chunk({"content": "你"}), chunk({"content": "好"})
COUNT = chunk(None, choices=[], usage=USAGE)
PLAIN = stream(NI, HAO, STOP)
LOGPROBS = {"content": [{"token": "你", "logprob": -0.1, "bytes": [228, 189, 160], "top_logprobs": []}]}
FILTERS = chunk(None, id="", choices=[], model="", prompt_filter_results=[{"prompt_index": 0}])
VLLM_USAGE = {"prompt_tokens": 11, "total_tokens": 12, "completion_tokens": 1, "prompt_tokens_details": None}


def choice_of(index: int, text: str, finish: str | None = None) -> dict[str, Any]:
    return chunk(None, choices=[{"index": index, "delta": {"content": text}, "finish_reason": finish}])


# Answers to a request for a stream, status 200, text/event-stream.
STREAMS: Mapping[str, bytes] = {
    # Servers by name
    "openai": stream(chunk({"role": "assistant", "content": "", "refusal": None}), NI, HAO, STOP, COUNT),
    "openai, obfuscated": stream(*(chunk({"content": text}, obfuscation="x7") for text in "你好"), STOP),
    "vllm": stream(ROLE, *(chunk({"content": text, "tool_calls": []}) for text in "你好"), STOP, COUNT),
    "vllm, usage in every chunk": stream(
        *(chunk({"content": text}, usage=VLLM_USAGE) for text in "你好"), STOP, chunk(None, choices=[], usage=CACHED)
    ),
    "vllm, reasoning": stream(ROLE, chunk({"reasoning": "想"}), chunk({"reasoning": "一下"}), NI, STOP, COUNT),
    "llama.cpp": stream(
        chunk({"role": "assistant", "content": None}), NI, chunk({}, "length"), COUNT | {"timings": {"prompt_n": 11}}
    ),
    "ollama": stream(
        *(chunk({"role": "assistant", "content": text}) for text in ["你", "好"]), chunk({"content": ""}, "stop")
    ),
    "sglang": stream(
        *(
            chunk({"role": None, "content": text, "reasoning_content": None, "tool_calls": None}, usage=None)
            for text in ["", "你", "好"]
        ),
        chunk({"content": None}, "stop", usage=None) | {"matched_stop": 2},
        COUNT,
    ),
    "lmdeploy": stream(
        chunk({"role": "assistant", "content": "你", "gen_tokens": None}),
        chunk({"role": "assistant", "content": ""}, "stop", usage=USAGE),
    ),
    "azure": stream(FILTERS, ROLE, NI, chunk({}, "stop", system_fingerprint="fp"), COUNT),
    "openrouter": b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + stream(ROLE, NI, STOP, COUNT),
    "openrouter, reasoning": stream(
        chunk({"content": "", "reasoning": "想", "reasoning_details": [{"type": "reasoning.text", "text": "想"}]}),
        NI,
        STOP,
    ),
    "deepseek, reasoning": stream(
        chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
        chunk({"content": None, "reasoning_content": "想"}),
        chunk({"content": "你", "reasoning_content": None}),
        chunk({"content": "", "reasoning_content": None}, "stop", usage=CACHED | {"prompt_cache_hit_tokens": 8}),
    ),
    "mistral": stream(chunk({"role": "assistant", "content": ""}), NI, chunk({"content": ""}, "stop", usage=USAGE)),
    "mistral, thinking parts": stream(
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "想"}]}]}), NI, STOP
    ),
    "gemini": stream(
        chunk({"role": "assistant", "content": "你好"}, "stop", usage=USAGE | {"completion_tokens_details": None})
    ),
    "anthropic": stream(ROLE, NI, chunk({"content": ""}, "stop", usage=None), chunk(None, choices=[], usage=CACHED)),
    "openrouter, reasoning details alone": stream(
        chunk({"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "想"}]}),
        chunk({"content": "", "reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAA"}]}),
        *(NI, HAO, STOP),
    ),
    "litellm": stream(chunk({"thinking_blocks": [{"type": "thinking", "thinking": "想"}]}), NI, HAO, STOP),
    "thinking": stream(chunk({"thinking": "想"}), NI, HAO, STOP),
    "thinking, an object": stream(chunk({"thinking": {"content": "想"}}), NI, HAO, STOP),
    # Framing
    "crlf": PLAIN.replace(b"\n", b"\r\n"),
    "lines end with cr": PLAIN.replace(b"\n", b"\r"),
    "no space after the colon": PLAIN.replace(b"data: ", b"data:"),
    "two spaces after the colon": PLAIN.replace(b"data: ", b"data:  "),
    "no done": stream(NI, HAO, STOP, end=b""),
    "done without a blank line": stream(NI, HAO, STOP, end=b"data: [DONE]"),
    "done with one newline": stream(NI, HAO, STOP, end=b"data: [DONE]\n"),
    "done with spaces": stream(NI, HAO, STOP, end=b"data: [DONE]  \n\n"),
    "events after done": PLAIN + event(chunk({"content": "再见"})) + DONE,
    "last event without a blank line": stream(NI, HAO, end=event(chunk({"content": "!"}, "stop")).rstrip()),
    "done and nothing else says the end": stream(NI, HAO, end=b"data: [DONE]"),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "blank lines between": b"\n\n" + PLAIN.replace(b"\n\n", b"\n\n\n\n"),
    "fields id and retry": PLAIN.replace(b"data: ", b"id: 7\nretry: 3000\ndata: "),
    "retry alone": b"retry: 10\n\n" + PLAIN,
    "events have names": PLAIN.replace(b"data: {", b"event: message\ndata: {"),
    "data of several lines": b"".join(
        b"data: " + json.dumps(part, indent=1).encode().replace(b"\n", b"\ndata: ") + b"\n\n"
        for part in (NI, HAO, STOP)
    ),
    "field without a colon": b"data\nignored\n\n" + PLAIN,
    "comments between": PLAIN.replace(b"\n\n", b"\n\n: keep-alive\n\n"),
    "a comment within an event": PLAIN.replace(b"data: {", b":\ndata: {"),
    "escaped characters": PLAIN.replace("你".encode(), b"\\u4f60").replace("好".encode(), b"\\ud83d\\ude00"),
    # Fields
    "no role": PLAIN,
    "choices null": stream(chunk(None, choices=None), NI, STOP, chunk(None, choices=None, usage=USAGE)),
    "choices missing": stream({"id": "c-1", "object": "chat.completion.chunk"}, NI, STOP),
    "usage null": stream(*(part | {"usage": None} for part in (NI, HAO, STOP)), COUNT),
    "usage with its last text": stream(NI, chunk({"content": "好"}, "stop", usage=USAGE)),
    "usage in floats": stream(NI, STOP, COUNT | {"usage": {"prompt_tokens": 11.0, "completion_tokens": 3.0}}),
    "usage in words": stream(NI, HAO, STOP, COUNT | {"usage": {"prompt_tokens": "11", "completion_tokens": "3"}}),
    "usage below zero": stream(NI, HAO, STOP, COUNT | {"usage": {"prompt_tokens": -1, "completion_tokens": -3}}),
    "created is no number": PLAIN.replace(b'"created":1', b'"created":NaN'),
    "half a surrogate pair": stream(NI, chunk({"content": "@"}), HAO, STOP).replace(b'"@"', b'"\\ud800"'),
    "half a surrogate pair in a key": stream(NI, chunk({"content": "好"}, at=1), STOP).replace(b'"at"', b'"\\ud800"'),
    "content is parts": stream(chunk({"content": [{"type": "text", "text": "你"}]}), STOP),
    "content null": stream(chunk({"role": "assistant", "content": None}), NI, STOP),
    "ids are integers": stream(*(part | {"id": 17} for part in (NI, HAO, STOP))),
    "ids are null": stream(*(part | {"id": None} for part in (NI, HAO, STOP))),
    "delta null": stream(NI, chunk(None, "stop")),
    "delta missing": stream(NI, chunk(None, choices=[{"index": 0, "finish_reason": "stop"}])),
    "index missing": stream(chunk(None, choices=[{"delta": {"content": "你"}}]), STOP),
    "index null": stream(chunk(None, choices=[{"index": None, "delta": {"content": "你"}}]), STOP),
    "error empty": stream(NI | {"error": ""}, STOP | {"error": {}}),
    "finish reason missing": stream(*(chunk(None, choices=[{"index": 0, "delta": {"content": t}}]) for t in "你好")),
    "finish reason empty": stream(chunk({"content": "你"}, ""), STOP),
    "finish reason with the last text": stream(NI, chunk({"content": "好"}, "length")),
    "unknown finish reason": stream(NI, chunk({}, "eos_token")),
    "content filter": stream(NI, chunk({}, "content_filter")),
    "logprobs": stream(chunk(None, choices=[NI["choices"][0] | {"logprobs": LOGPROBS}]), STOP),
    "two choices": stream(
        choice_of(0, "你"), choice_of(1, "您"), choice_of(0, "好", "stop"), choice_of(1, "好", "stop")
    ),
    "refusal": stream(chunk({"refusal": "我不能"}), chunk({"refusal": "帮忙"}), STOP),
    "unknown fields": stream(chunk({"content": "你", "audio": {"id": "a"}}, x_groq={"id": "r"}, provider=None), STOP),
    "error null": stream(NI | {"error": None}, STOP | {"error": None}),
    "one chunk only": stream(chunk({"role": "assistant", "content": "你好"}, "stop")),
    # Tool calls
    "call in pieces": calling(
        call({"name": "weather", "arguments": ""}, index=0, id="call_1", type="function"),
        call({"arguments": '{"市"'}, index=0),
        call({"arguments": ':"京"}'}, index=0),
    ),
    "call whole": calling([CALL]),
    "call without index": calling([{name: value for name, value in CALL.items() if name != "index"}]),
    "call with index null": calling([CALL | {"index": None}]),
    "call with null in its later pieces": calling(
        call({"name": "weather", "arguments": ""}, index=0, id="call_1", type="function"),
        call({"name": None, "arguments": "{}"}, index=0, id=None, type=None),
    ),
    "two calls": calling([CALL], [CALL | {"index": 1, "id": "call_2"}]),
    "two calls in one chunk": calling([CALL, CALL | {"index": 1, "id": "call_2"}]),
    "text before a call": stream(NI, chunk({"tool_calls": [CALL]}, "tool_calls")),
    "legacy function call": calling({"name": "weather", "arguments": ""}, {"arguments": "{}"}, delta="function_call"),
    "call ends with stop": stream(chunk({"tool_calls": [CALL]}), STOP),
    # Ends that are none
    "empty stream": b"",
    "done only": DONE,
    "role only": stream(ROLE, STOP),
    "usage only": stream(COUNT),
    "cut within a chunk": stream(NI, HAO, end=event(HAO)[:40]),
    "cut between chunks": stream(NI, HAO, end=b""),
    # Errors
    "error in mid-stream": stream(NI, ERROR, end=b""),
    "error in mid-stream, then done": stream(NI, ERROR),
    "error beside choices": stream(NI, STOP | ERROR),
    "error is a text": stream(NI, {"error": "内存不足"}),
    "named error": event(NI) + b"event: error\n" + event(ERROR),
    "named error without an object": event(NI) + b"event: error\n" + event({"message": "内存不足"}),
    "error only": stream(ERROR, end=b""),
    "truncated json": event(NI) + b'data: {"choices":[{"delta\n\n' + DONE,
    "words that are no json": event(NI) + b"data: Internal Server Error\n\n",
    "data is an array": event(NI) + event([1, 2]) + event(HAO) + event(STOP) + DONE,
    "data is a number": event(NI) + event(7) + event(HAO) + event(STOP) + DONE,
    "invalid utf-8": PLAIN.replace("你".encode(), b"\xff\xfe"),
}

# Whole answers, status 200, application/json, to a request that asked for one.
WHOLE: Mapping[str, bytes] = {
    "whole": to_json(completion({"role": "assistant", "content": "你好"})),
    "whole, reasoning": to_json(completion({"role": "assistant", "content": "你", "reasoning_content": "想"})),
    "whole, reasoning, vllm": to_json(completion({"role": "assistant", "content": "你", "reasoning": "想"})),
    "whole, content is parts": to_json(completion({"role": "assistant", "content": [{"type": "text", "text": "你"}]})),
    "whole, content null": to_json(completion({"role": "assistant", "content": None})),
    "whole, call": to_json(completion({"role": "assistant", "content": None, "tool_calls": [CALL]}, "tool_calls")),
    "whole, legacy function call": to_json(
        completion({"role": "assistant", "content": None, "function_call": CALL["function"]}, "function_call")
    ),
    "whole, refusal": to_json(completion({"role": "assistant", "content": None, "refusal": "我不能"})),
    "whole, usage missing": to_json(completion({"role": "assistant", "content": "你"}, usage=None)),
    "whole, cached tokens": to_json(completion({"role": "assistant", "content": "你"}, usage=CACHED)),
    "whole, id is an integer": to_json(completion({"role": "assistant", "content": "你"}, id=17)),
    "whole, white space around": b"\n  " + json.dumps(completion({"content": "你"}), indent=2).encode() + b"\n",
    "whole, finish reason missing": to_json(completion({"role": "assistant", "content": "你"}, None)),
    "whole, choices empty": to_json(completion(None, choices=[])),
    "whole, choices null": to_json(completion(None, choices=None)),
    "whole, truncated": to_json(completion({"role": "assistant", "content": "你好"}))[:60],
    "whole, empty": b"",
    "whole, array": b"[]",
    "whole, error with status 200": to_json(ERROR),
    "whole, invalid utf-8": to_json(completion({"content": "你"})).replace("你".encode(), b"\xff"),
}

OTHERS = (
    Shape("one object where a stream was asked for", WHOLE["whole"], content_type=JSON),
    Shape("error object where a stream was asked for", to_json(ERROR), content_type=JSON),
    Shape("page where a stream was asked for", b"<!doctype html><title>Login</title>", content_type=HTML),
    Shape("page", b"<!doctype html><title>Login</title>", stream=False, content_type=HTML),
    Shape("stream of plain text", PLAIN, content_type="text/plain"),
    Shape("stream where none was asked for", PLAIN, stream=False),
    Shape("stream of plain text where none was asked for", PLAIN, stream=False, content_type="text/plain"),
    Shape("400", to_json(ERROR), stream=False, status=400, content_type=JSON),
    Shape("401, words", b"Unauthorized", stream=False, status=401, content_type="text/plain"),
    Shape("404, fastapi", b'{"detail":"Not Found"}', stream=False, status=404, content_type=JSON),
    Shape("422, fastapi", b'{"detail":[{"loc":["body"],"msg":"Field required"}]}', False, 422, JSON),
    Shape("429 to a stream", to_json(ERROR), status=429, content_type=JSON),
    Shape("429 as an event", event(ERROR), status=429),
    Shape("500, empty", b"", stream=False, status=500, content_type=JSON),
    Shape("502, page", b"<html><h1>502 Bad Gateway</h1></html>", status=502, content_type=HTML),
    Shape("503, text in error", b'{"error":"loading"}', stream=False, status=503, content_type=JSON),
    Shape("503, array", b'[{"error":{"message":"overloaded"}}]', stream=False, status=503, content_type=JSON),
    Shape("504, invalid utf-8", b"\xff\xfe", status=504, content_type="text/plain"),
)

SHAPES = (
    *(Shape(name, body) for name, body in STREAMS.items()),
    *(Shape(name, body, stream=False, content_type=JSON) for name, body in WHOLE.items()),
    *OTHERS,
)
