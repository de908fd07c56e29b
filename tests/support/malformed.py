"""Requests that no client should send, by kind: of each, the server can only say what is wrong with it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

CHAT, COMPLETION, RATING = "/v1/chat/completions", "/v1/completions", "/v1/feedback"
TOKENIZE, DETOKENIZE = "/tokenize", "/detokenize"
JSON = "application/json"

_TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
# A request of each path with most of its fields; these are right.
GOOD: dict[str, dict[str, Any]] = {
    CHAT: {
        "model": "nano",
        "messages": [
            {"role": "system", "content": "短く"},
            {"role": "user", "content": [{"type": "text", "text": "あ"}]},
        ],
        "max_tokens": 2,
        "temperature": 0.5,
        "stop": ["。"],
        "tools": [_TOOL],
        "tool_choice": "none",
    },
    COMPLETION: {"model": "nano", "prompt": ["今天", "東京"], "max_tokens": 2, "logprobs": 1, "logit_bias": {"5": -1}},
    TOKENIZE: {"prompt": "你好", "return_token_strs": True},
    DETOKENIZE: {"tokens": [5, 6, 7]},
}
_RATING = {"request": "chatcmpl-abc", "thumbs": "up", "tags": ["polite"], "comment": "好"}


class Malformed(NamedTuple):
    """One request; ``coding`` is its Content-Encoding."""

    path: str
    body: bytes
    content_type: str | None = JSON
    coding: str | None = None


KINDS: dict[str, Callable[[], Iterable[Malformed]]] = {}


def _kind(name: str) -> Callable[[Callable[[], Iterable[Malformed]]], Callable[[], Iterable[Malformed]]]:
    def add(requests: Callable[[], Iterable[Malformed]]) -> Callable[[], Iterable[Malformed]]:
        KINDS[name] = requests
        return requests

    return add


def _bytes(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


@_kind("cut off")
def _cut_off() -> Iterator[Malformed]:
    for path, body in (GOOD | {RATING: _RATING}).items():
        whole = _bytes(body)
        yield from (Malformed(path, whole[:length]) for length in range(1, len(whole), 3))


_NUMBERS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
_COUNTS = ("max_tokens", "min_tokens", "n", "seed")
_TRUTHS = ("stream", "ignore_eos")
_NO_NUMBER: list[Any] = ["zwei", [1], {"a": 1}]
_NO_TRUTH: list[Any] = ["maybe", 7, [], {}]
WRONG_VALUES: dict[str, dict[str, list[Any]]] = {
    CHAT: {
        **dict.fromkeys((*_NUMBERS, *_COUNTS, "max_completion_tokens", "top_logprobs"), _NO_NUMBER),
        **dict.fromkeys((*_TRUTHS, "logprobs", "parallel_tool_calls"), _NO_TRUTH),
        "model": [7, [], {}, True],
        "messages": [7, "あ", {}, [], [7], [[]], [{}], [{"role": 7, "content": "あ"}], [None]],
        "stop": [7, {}, [7], [["。"]], ["。"] * 17],
        "stop_token_ids": [7, "x", {}, ["x"], [{}]],
        "logit_bias": [7, "x", [1], {"x": 1}, {"5": "x"}, {"5": []}],
        "stream_options": [7, "x", [1], {"include_usage": []}],
        "tools": [7, "x", {}, [7], [{}], [{"type": "function"}], [{"type": "function", "function": {"name": "a b"}}]],
        "tool_choice": [7, "always", [], {}, {"type": "function"}, {"type": "function", "function": {"name": "none"}}],
        "response_format": [7, "json", [1], {}, {"type": "xml"}, {"type": "json_schema"}],
        "chat_template_kwargs": [7, "x", [1]],
        "structured_outputs": [7, "x", [1], {"regex": 7}, {"choice": "x"}],
        "guided_choice": [7, "x", {}, [7]],
        "guided_regex": [7, [], {}, "(", "[z-a]"],
    },
    COMPLETION: {
        "prompt": [7, {}, None, True, [{}], [["x"]], [-1], [10**9], [[5], "あ"], [1.5]],
        "logprobs": [*_NO_NUMBER, -1, 21],
        "echo": _NO_TRUTH,
        "max_tokens": [*_NO_NUMBER, -1, 1.5],
    },
    TOKENIZE: {"prompt": [7, [], {}, None], "messages": [7, "x", [7]]},
    DETOKENIZE: {"tokens": [7, "x", {}, None, ["x"], [-1], [10**9], [[5]]]},
    RATING: {
        "request": [7, [], {}, None, "", "abc", "chatcmpl-" + "a" * 200, "chatcmpl-\n"],
        "thumbs": [7, "sideways", [], {}, True],
        "stars": [0, 6, -1, 1.5, "5", [], True],
        "turn": [-1, 10_001, 0.5, "0"],
        "tags": [7, "polite", {}, [7], [""], ["a" * 65], ["a"] * 17],
        "comment": [7, [], "a" * 4001],
        "user": [7, "", "a" * 257],
        "rater_kind": [7, "cat", None],
        "of_tomorrow": [1],
    },
}


@_kind("a field of the wrong type or range")
def _wrong_values() -> Iterator[Malformed]:
    for path, fields in WRONG_VALUES.items():
        good = GOOD.get(path, _RATING)
        yield from (
            Malformed(path, _bytes(good | {field: value})) for field, values in fields.items() for value in values
        )


@_kind("nested deeply")
def _nested() -> Iterator[Malformed]:
    for depth in (1_000, 10_000, 100_000):
        lists, objects = "[" * depth, '{"a":' * depth
        for path, field in ((CHAT, "messages"), (CHAT, "stop"), (COMPLETION, "prompt"), (DETOKENIZE, "tokens")):
            yield Malformed(path, f'{{"{field}": {lists}{"]" * depth}}}'.encode())
            yield Malformed(path, f'{{"{field}": {objects}1{"}" * depth}}}'.encode())
        yield Malformed(CHAT, lists.encode())
        yield Malformed(RATING, objects.encode())


@_kind("a name twice, the last of them wrong")
def _twice() -> Iterator[Malformed]:
    for path, body in GOOD.items():
        whole = _bytes(body).decode()
        for field in body.keys() & WRONG_VALUES[path].keys():
            for value in WRONG_VALUES[path][field][:2]:
                yield Malformed(path, f'{whole[:-1]}, "{field}": {json.dumps(value)}}}'.encode())


@_kind("a number too large, or none")
def _numbers() -> Iterator[Malformed]:
    values = ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", "1" + "0" * 5000, "-1" + "0" * 5000, "1e"]
    values += ["0x10", "01", "+1", ".5", "1_000", "--1"]
    for field in ("temperature", "top_p", "n", "max_tokens", "presence_penalty", "min_p"):
        for value in values:
            yield Malformed(CHAT, f'{{"messages": [{{"role": "user", "content": "x"}}], "{field}": {value}}}'.encode())
    for value in values:
        yield Malformed(COMPLETION, f'{{"prompt": [{value}]}}'.encode())
        yield Malformed(DETOKENIZE, f'{{"tokens": [{value}]}}'.encode())
        yield Malformed(RATING, f'{{"request": "cmpl-a", "stars": {value}}}'.encode())


@_kind("not in UTF-8")
def _not_utf8() -> Iterator[Malformed]:
    broken = [b"\xff", b"\xc3", b"\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", "好".encode("gb18030")]
    broken += ["好".encode("shift_jis"), b"\xe5\xa5", b"\xfe\xff"]
    for text in broken:
        yield Malformed(CHAT, b'{"messages": [{"role": "user", "content": "' + text + b'"}]}')
        yield Malformed(COMPLETION, b'{"prompt": "' + text + b'"}')
        yield Malformed(RATING, b'{"request": "cmpl-a", "thumbs": "up", "comment": "' + text + b'"}')
        yield Malformed(CHAT, b'{"' + text + b'": 1, "messages": []}')
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield from (
            Malformed(path, json.dumps(body, ensure_ascii=False).encode(encoding)) for path, body in GOOD.items()
        )

    asked = json.dumps({"prompt": "x", "stop": ["\ud800"]})  # its escape is not found in these bytes
    yield from (Malformed(COMPLETION, asked.encode(encoding)) for encoding in ("utf-16-le", "utf-16-be"))


@_kind("half of a surrogate pair")
def _surrogates() -> Iterator[Malformed]:
    for half in ("\ud800", "x\udfff", "\udc00\ud800"):
        places: list[tuple[str, dict[str, Any]]] = [
            (CHAT, {"messages": [{"role": "user", "content": half}]}),
            (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": half}]}]}),
            (CHAT, {"model": half}),
            (CHAT, {"stop": [half]}),
            (CHAT, {"tool_choice": {"type": "function", "function": {"name": half}}}),
            (CHAT, {"tools": [{"type": "function", "function": {"name": "look", "description": half}}]}),
            (CHAT, {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {half: 1}}}}),
            (COMPLETION, {"prompt": half}),
            (COMPLETION, {"model": half}),
            (TOKENIZE, {"prompt": half}),
            (RATING, {"comment": half}),
            (RATING, {"tags": [half]}),
        ]
        for path, change in places:
            yield Malformed(path, json.dumps(GOOD.get(path, _RATING) | change).encode())


@_kind("marks of byte order where none may be")
def _marks() -> Iterator[Malformed]:
    mark = b"\xef\xbb\xbf"
    for path, body in GOOD.items():
        whole = _bytes(body)
        yield from (Malformed(path, text) for text in (mark, mark + mark + whole, whole + mark, b"\xff\xfe" + whole))


_OTHER_TYPES = ["text/plain", "text/html", "application/xml", "application/x-www-form-urlencoded", "image/png", "*/*"]
_OTHER_TYPES += ["multipart/form-data; boundary=x", "application/octet-stream", "application", "application/jsonp"]


@_kind("of another content type")
def _content_types() -> Iterator[Malformed]:
    for path, body in GOOD.items():
        yield from (Malformed(path, _bytes(body), kind) for kind in (*_OTHER_TYPES, None))


@_kind("compressed")
def _compressed() -> Iterator[Malformed]:
    for path, body in GOOD.items():
        whole = _bytes(body)
        yield Malformed(path, gzip.compress(whole), coding="gzip")
        yield Malformed(path, zlib.compress(whole), coding="deflate")
        yield Malformed(path, gzip.compress(whole))
        yield Malformed(path, b"\x28\xb5\x2f\xfd" + whole, coding="zstd")
        yield Malformed(path, gzip.compress(b" " * 50_000_000, 9)[:60_000], coding="gzip")  # would be 50 MB


@_kind("no object")
def _no_object() -> Iterator[Malformed]:
    bodies = [b"", b" \r\n\t ", b"\0", b"null", b"true", b"7", b'"text"', b"[]", b"[{}]", b"{}", b"{} {}", b"undefined"]
    bodies += [b"data: {}\n\n", b"a=1&b=2", b"<a/>", b"{'messages': []}", b"{messages: []}", b'{"a": 1,}', b"/* */{}"]
    for path in (*GOOD, RATING):
        yield from (Malformed(path, body) for body in bodies)
