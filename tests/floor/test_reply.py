"""What is read of a stream: which pieces are tokens, which of them thoughts, and when it has failed."""

from __future__ import annotations

import json

import pytest

from shosei.wire import sse
from shosei.wire.client import Reply
from shosei.wire.reply import ReplyReader


def streamed(*parts: bytes | dict[str, object]) -> Reply:
    """The reply to a streamed answer whose parts, events or bytes, come at 10, 11, 12, ... ns."""
    reply = Reply("req-1", 0, stream=True)
    reader = ReplyReader(reply)
    reader.begin(200, [], 1)
    for now, part in enumerate(parts, 10):
        reader.feed(part if isinstance(part, bytes) else sse.encode(json.dumps(part).encode()), now)
    reader.finish()
    return reply


def piece(finish: str | None = None, **delta: object) -> dict[str, object]:
    return {"choices": [{"delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "reasoning_text", "thinking"])
def test_thoughts_are_tokens_and_what_follows_the_last_token_is_none(name: str) -> None:
    usage: dict[str, object] = {"choices": None, "usage": {"prompt_tokens": 1, "completion_tokens": 3}}
    thinks, says, ends = piece(**{name: "嗯"}), piece(content="好"), piece("stop")
    begins, ping, done = piece(role="assistant", content=""), b": ping\n\n", b"data: [DONE]\n\n"
    reply = streamed(begins, thinks, ping, says, says, ends, usage, done)
    assert (reply.text, reply.error, reply.tokens_out) == ("好好", "", 3)
    assert (reply.first_token_ns, reply.last_token_ns, reply.longest_gap_ns) == (11, 14, 2)


@pytest.mark.parametrize(
    ("contents", "first_answer_ns", "thoughts"),
    [
        (["<think>", "嗯", "</think>", "\n\n", "好"], 14, 4),
        (["<th", "ink>嗯", "</thi", "nk>好", "好"], 13, 3),
        (["嗯", "</think>", "好"], 12, 2),  # the chat template had opened it
        (["\n", "<thinking>嗯</thinking>好"], 11, 1),
        (["<think>", "嗯"], None, 2),
        (["<", "b>好</b>"], 10, 0),
        (["说", "`</think>`", "是标记"], 10, 0),
        (["\n", "好"], 10, 0),
    ],
)
def test_what_stands_between_tags_is_thought(contents: list[str], first_answer_ns: int | None, thoughts: int) -> None:
    reply = streamed(*(piece(content=content) for content in contents), piece("stop"))
    assert (reply.first_token_ns, reply.last_token_ns) == (10, 9 + len(contents))
    assert (reply.first_answer_ns, reply.thought_pieces) == (first_answer_ns, thoughts)
    assert (reply.text, reply.error) == ("".join(contents), "")  # it is graded as it came


def test_a_stream_with_a_finish_reason_needs_no_last_event() -> None:
    assert streamed(piece(content="好"), piece("stop"), b"data: [DONE]").error == ""
    assert streamed(piece(content="好")).error == "cut stream"


def test_a_server_that_fails_within_its_answer_is_heard() -> None:
    words = b'{"message": "engine died", "code": 500}'
    for parts in (
        [piece(content="好"), sse.encode(words, b"error"), b"data: [DONE]\n\n"],
        [piece(content="好"), sse.encode(b'{"error": %s}' % words), b"data: [DONE]\n\n"],
        [b'{"error": %s}' % words],  # no stream, though one was asked for
    ):
        reply = streamed(*parts)
        assert (reply.error, reply.message) == ("5xx", "engine died")
