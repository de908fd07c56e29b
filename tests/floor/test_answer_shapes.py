"""Our reader and the official client read the same bytes: the same answer, and the same verdict whether it is one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
import pytest

from answer_shapes import SHAPES, Shape
from shosei.wire.reply import Reply, ReplyReader

# Where we differ on purpose: what we say is wrong, if anything, and why.
DIFFERENT = {
    "byte order mark": ("", "it belongs to no field (WHATWG); the client loses the event behind it"),
    "retry alone": ("", "what has no data is no event (WHATWG); the client takes it for one without JSON"),
    "last event without a blank line": ("cut stream", "neither a finish reason nor [DONE] came"),
    "cut within a chunk": ("cut stream", "neither a finish reason nor [DONE] came"),
    "cut between chunks": ("cut stream", "neither a finish reason nor [DONE] came"),
    "empty stream": ("cut stream", "neither a finish reason nor [DONE] came"),
    "page where a stream was asked for": ("malformed", "no event came; the client sees an empty answer"),
    "stream where none was asked for": ("", "the answer is there; the client hands its text on"),
    "stream of plain text where none was asked for": ("", "the answer is there; the client hands its text on"),
    "data is an array": ("", "the client hands it on and reads what follows; nothing is in it"),
    "data is a number": ("", "the client hands it on and reads what follows; nothing is in it"),
    "usage in words": ("", "a count that is none is not known"),
    "usage below zero": ("", "a count that is none is not known"),
    "half a surrogate pair": ("", "no log could hold it: it is read as U+FFFD"),
    "thinking": ("", "a thought in another field"),
    "thinking, an object": ("", "a thought in another field"),
    "openrouter, reasoning details alone": ("", "a thought in another field"),
    "litellm": ("", "a thought in another field"),
    "done only": ("empty", "nothing was said, and no reason given"),
    "usage only": ("empty", "nothing was said, and no reason given"),
    "whole, choices empty": ("empty", "nothing was said, and no reason given"),
    "whole, choices null": ("empty", "nothing was said, and no reason given"),
    "named error without an object": ("5xx", "its name says that it is one"),
    "whole, error with status 200": ("5xx", "its body says that it is one; the client has an answer without choices"),
    "error object where a stream was asked for": ("5xx", "its body says that it is one; the client sees no event"),
    "one object where a stream was asked for": ("", "the answer is there; the client sees no event"),
}


@dataclass
class Read:
    """What a reader takes from the first choice of an answer."""

    failed: bool = False
    text: str = ""
    reasoning: str = ""
    calls: dict[int, list[str]] = field(default_factory=dict)  # by index: id, name, arguments
    finish_reason: str = ""
    usage: tuple[int | None, int | None] = (None, None)

    def add(self, part: Any) -> None:
        """One object of the client's: a chunk, or a whole answer."""
        if part.usage:
            self.usage = part.usage.prompt_tokens, part.usage.completion_tokens
        for choice in part.choices or ():
            if choice.index:
                continue
            self.finish_reason = choice.finish_reason or self.finish_reason
            if message := getattr(choice, "delta", None) or getattr(choice, "message", None):
                self._add_message(message)

    def _add_message(self, message: Any) -> None:
        parts = message.content if isinstance(message.content, list) else [{"type": "text", "text": message.content}]
        self.text += "".join(part["text"] or "" for part in parts if part["type"] == "text")
        for thinking in (part["thinking"] for part in parts if part["type"] == "thinking"):
            self.reasoning += "".join(part["text"] for part in thinking)
        extra = message.model_extra or {}
        self.reasoning += extra.get("reasoning_content") or extra.get("reasoning") or ""
        for place, call in enumerate(message.tool_calls or ()):
            index = getattr(call, "index", None)
            self._add_call(place if index is None else index, call.id, call.function)
        if message.function_call:
            self._add_call(0, None, message.function_call)

    def _add_call(self, index: int, name: str | None, function: Any) -> None:
        pieces = (name, function.name, function.arguments)
        before = self.calls.get(index, ["", "", ""])
        self.calls[index] = [old + (piece or "") for old, piece in zip(before, pieces, strict=True)]


def by_client(shape: Shape) -> Read:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(shape.status, content=shape.body, headers={"Content-Type": shape.content_type})

    read = Read()
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as transport:
        client = openai.OpenAI(base_url="http://a.test", api_key="placeholder", max_retries=0, http_client=transport)
        try:
            answered: Any = client.chat.completions.create(model="m", messages=[], stream=shape.stream)
            for part in answered if shape.stream else [answered]:
                read.add(part)
        except (openai.APIError, ValueError, AttributeError):  # of ours: what is no object of the API
            read.failed = True
    return read


def by_us(shape: Shape, parts: Iterable[bytes]) -> tuple[Read, str, str]:
    """With the error and the server's words."""
    reply = Reply("req-1", 0, stream=shape.stream)
    reader = ReplyReader(reply)
    reader.begin(shape.status, [(b"content-type", shape.content_type.encode())], 1)
    for part in parts:
        reader.feed(part, 2)
        if reader.ended:
            break
    reader.finish()
    calls = {
        place: [call.id, call.name, call.arguments] for (choice, place), call in reader.calls.items() if not choice
    }
    usage = reply.tokens_in, reply.tokens_out
    read = Read(bool(reply.error), reply.text, reply.reasoning, calls, reply.finish_reason, usage)
    return read, reply.error, reply.message


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_ours_reads_what_the_official_client_reads(shape: Shape) -> None:
    ours, error, _ = by_us(shape, [shape.body])
    client = by_client(shape)
    if shape.name in DIFFERENT:
        assert (error, ours != client) == (DIFFERENT[shape.name][0], True)
    else:
        assert ours == client, (ours, client)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_an_answer_is_the_same_wherever_it_is_cut(shape: Shape) -> None:
    body, whole = shape.body, by_us(shape, [shape.body])
    assert by_us(shape, [body[at : at + 1] for at in range(len(body))]) == whole
    for at in range(len(body)):
        assert by_us(shape, [body[:at], body[at:]]) == whole


def test_a_servers_words_are_kept_in_whatever_form_they_come() -> None:
    told = {shape.name: by_us(shape, [shape.body])[2] for shape in SHAPES if "内存不足".encode() in shape.body}
    assert len(told) > 8
    assert set(told.values()) == {"内存不足"}


def test_what_we_read_where_the_client_does_not() -> None:
    lenient = {name for name, (error, _) in DIFFERENT.items() if not error}
    read = {shape.name: by_us(shape, [shape.body])[0] for shape in SHAPES if shape.name in lenient}
    texts = {name: ours.text for name, ours in read.items()}
    assert texts == dict.fromkeys(lenient, "你好") | {"half a surrogate pair": "你\ufffd好"}
    thoughts = {name: ours.reasoning for name, ours in read.items() if ours.reasoning}
    thinking = [name for name, (_, why) in DIFFERENT.items() if why == "a thought in another field"]
    assert thoughts == dict.fromkeys(thinking, "想")
    assert {read[name].usage for name in ("usage in words", "usage below zero")} == {(None, None)}


def test_what_a_server_said_instead_of_an_answer_is_kept() -> None:
    said = {shape.name: by_us(shape, [shape.body])[2] for shape in SHAPES}
    for name in ("page", "page where a stream was asked for"):
        assert said[name].endswith("<!doctype html><title>Login</title>")
    assert said["words that are no json"].endswith("Internal Server Error")
