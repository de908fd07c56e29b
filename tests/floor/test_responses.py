"""Answers of the Responses API: what is read of them, in one piece and as events, whole and cut."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from responses_upstream import event, events, function_call, message, refused, response, thoughts
from shosei.wire.reply import Reply
from shosei.wire.responses import ResponsesReader

CUT_SHORT = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
FILTERED = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
OVERLOADED = {"code": "server_error", "message": "the model is overloaded"}
CALLS = [function_call("lookup", '{"city": "京都"}'), function_call("noon", "{}", 2)]

ANSWERS = {
    "text": response([message("月曜日です。")]),
    "thoughts": response([thoughts("今日は…"), message("月曜日")]),
    "calls": response([message("見ます。"), *CALLS]),
    "refusal": response([refused("できません")]),
    "cut short": response([message("月曜")], **CUT_SHORT),
    "filtered": response([message("月曜")], **FILTERED),
    "failed": response([message("月曜")], status="failed", error=OVERLOADED),
}
EXPECTED: dict[str, tuple[str, str, str, str]] = {  # text, thoughts, finish reason, error
    "text": ("月曜日です。", "", "stop", ""),
    "thoughts": ("月曜日", "今日は…", "stop", ""),
    "calls": ("見ます。", "", "tool_calls", ""),
    "refusal": ("", "", "stop", ""),
    "cut short": ("月曜", "", "length", ""),
    "filtered": ("月曜", "", "content_filter", ""),
}


def read(data: bytes, *, stream: bool, step: int = 1 << 20) -> tuple[Reply, ResponsesReader]:
    """The reply to a body that comes ``step`` bytes at a time, at 1, 2, 3 … ns."""
    reply = Reply("ours", 0, stream=stream)
    reader = ResponsesReader(reply)
    reader.begin(200, [], 1)
    for number, at in enumerate(range(0, len(data), step)):
        reader.feed(data[at : at + step], number + 1)
    reader.finish()
    return reply, reader


def calls_of(reader: ResponsesReader) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments) for _, call in sorted(reader.calls.items())]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", EXPECTED)
def test_text_thoughts_calls_and_tokens(name: str, stream: bool) -> None:
    answer = ANSWERS[name]
    data = b"".join(events(answer)) if stream else msgspec.json.encode(answer)
    reply, reader = read(data, stream=stream)
    assert (reply.text, reply.reasoning, reply.finish_reason, reply.error) == EXPECTED[name]
    assert (reply.id, reply.tokens_in, reply.tokens_out, reply.tokens_cached) == ("resp_up1", 11, 7, 4)
    wanted = [item for item in answer["output"] if item["type"] == "function_call"]
    assert calls_of(reader) == [(item["call_id"], item["name"], item["arguments"]) for item in wanted]


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_that_failed_is_an_error_in_its_own_words(stream: bool) -> None:
    answer = ANSWERS["failed"]
    reply, _ = read(b"".join(events(answer)) if stream else msgspec.json.encode(answer), stream=stream)
    assert (reply.error, reply.message, reply.tokens_out) == ("5xx", "the model is overloaded", 7)


@pytest.mark.parametrize("fields", [OVERLOADED, {"error": OVERLOADED}])
@pytest.mark.parametrize("named", [True, False])
def test_an_event_that_is_an_error_is_one(fields: dict[str, Any], named: bool) -> None:
    failure = event("error", sequence_number=3, param=None, **fields)
    failure = failure if named else failure.removeprefix(b"event: error\n")
    reply, _ = read(b"".join([*events(ANSWERS["text"])[:5], failure]), stream=True)
    assert (reply.error, reply.message) == ("5xx", "the model is overloaded")


@pytest.mark.parametrize("name", ["text", "calls"])
def test_a_stream_that_ends_before_its_last_event_is_cut(name: str) -> None:
    *before, last = events(ANSWERS[name])
    data = b"".join(before)
    for end in range(0, len(data), 7):
        reply, _ = read(data[:end], stream=True)
        assert reply.error == "cut stream", data[:end][-80:]
        assert reply.tokens_out is None
    assert read(data + last, stream=True)[0].error == ""


def test_bytes_that_come_one_by_one_say_the_same() -> None:
    for name, answer in ANSWERS.items():
        data = b"".join(events(answer))
        slowly, at_once = (read(data, stream=True, step=step) for step in (1, 1 << 20))
        assert calls_of(slowly[1]) == calls_of(at_once[1])
        assert (slowly[0].text, slowly[0].error) == (at_once[0].text, at_once[0].error), name


def test_first_and_last_token_are_those_of_deltas_and_of_a_function_that_was_chosen() -> None:
    """The event that came at 1, 2, 3 … ns: what frames an answer is no token."""
    for name, first, first_answer in (
        ("text", 5, 5),  # created, in progress, item, part, then deltas of three characters
        ("thoughts", 5, 10),  # part, two deltas of thoughts, item done, item, part, delta
        ("calls", 5, 5),
    ):
        reply = Reply("ours", 0, stream=True)
        reader = ResponsesReader(reply)
        reader.begin(200, [], 1)
        stream = events(ANSWERS[name])
        for number, block in enumerate(stream, 1):
            reader.feed(block, number)
        reader.finish()
        deltas = [number for number, block in enumerate(stream, 1) if b".delta" in block.split(b"\n")[0]]
        assert (reply.first_token_ns, reply.first_answer_ns, reply.last_token_ns) == (first, first_answer, deltas[-1])
    reply, _ = read(b"".join(events(response([function_call("noon", "")]))), stream=True)
    assert reply.first_token_ns == 1


def test_whole_calls_stand_though_no_piece_of_them_came() -> None:
    """Some servers send no deltas; others no output in the last event."""
    answer = ANSWERS["calls"]
    last = events(answer)[-1]
    bare = event("response.completed", response=response([]))
    done = [block for block in events(answer) if block.startswith(b"event: response.output_item.done")]
    for stream in ([last], [*done, bare], [*done, last], [*events(answer)[:-1], bare]):
        _, reader = read(b"".join(stream), stream=True)
        assert calls_of(reader) == [("call_1", "lookup", '{"city": "京都"}'), ("call_2", "noon", "{}")]


def test_what_is_made_elsewhere_is_no_error_and_what_is_no_response_is_one() -> None:
    queued = response([], status="queued", usage=None)
    reply, _ = read(msgspec.json.encode(queued), stream=False)
    assert (reply.error, reply.finish_reason, reply.tokens_out) == ("", "queued", None)
    assert read(b'{"object": "list", "data": []}', stream=False)[0].error == "empty"
    assert read(b"<html>", stream=False)[0].error == "malformed"
    assert read(b"", stream=True)[0].error == "cut stream"
