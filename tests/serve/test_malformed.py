"""Requests that no client should send, to a real server: each is refused in OpenAI's form, and none stops the next."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from malformed import CHAT, COMPLETION, GOOD, JSON, KINDS, TOKENIZE, Malformed
from serve_process import make_model, serving
from shosei.wire.openai import ChatRequest, CompletionRequest, DetokenizeRequest

_BETWEEN_GOOD_ONES = 100
_FEW = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http.client.HTTPConnection]:
    """A connection to a server of its own."""
    folder = tmp_path_factory.mktemp("malformed")
    with serving(make_model(folder / "model"), "--run", folder / "run") as (_, url):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        yield connection
        connection.close()


def ask(server: http.client.HTTPConnection, request: Malformed) -> tuple[int, bytes]:
    headers = {"Content-Type": request.content_type, "Content-Encoding": request.coding}
    server.request("POST", request.path, request.body, {name: value for name, value in headers.items() if value})
    response = server.getresponse()
    return response.status, response.read()


def fault(status: int, answer: bytes) -> str:
    """What is wrong with the answer to a request that no client should send; empty where it is as it must be."""
    if not 400 <= status < 500:
        return f"status {status}"
    try:
        error = json.loads(answer)["error"]
    except (ValueError, KeyError, TypeError):
        return "no error in OpenAI's form"
    as_it_must_be = error.keys() == {"message", "type", "param", "code"} and error["message"] and error["type"]
    return "" if as_it_must_be else "no error in OpenAI's form"


def answers_good_ones(server: http.client.HTTPConnection) -> bool:
    return all(ask(server, Malformed(path, json.dumps(body).encode()))[0] == 200 for path, body in GOOD.items())


@pytest.mark.parametrize("most", [_FEW, pytest.param(None, marks=pytest.mark.long, id="all")])
@pytest.mark.parametrize("kind", KINDS)
def test_is_refused_in_openais_form(kind: str, most: int | None, server: http.client.HTTPConnection) -> None:
    """``most`` of a kind, far from each other, or all."""
    requests = list(KINDS[kind]())
    wrong = []
    for number, request in enumerate(requests[:: len(requests) // (most or len(requests))], 1):
        if told := fault(*ask(server, request)):
            wrong.append((told, request.path, request.body[:200]))
        if number % _BETWEEN_GOOD_ONES == 0:
            assert answers_good_ones(server)
    assert not wrong
    assert answers_good_ones(server)


@pytest.mark.parametrize(
    ("model", "field", "items"),
    [
        (CompletionRequest, "prompt", [5] * 9999 + ["x"]),
        (CompletionRequest, "prompt", [{}] * 9999),
        (CompletionRequest, "prompt", [[5]] * 9999),
        (CompletionRequest, "stop_token_ids", ["x"] * 9999),
        (CompletionRequest, "guided_choice", [1] * 9999),
        (ChatRequest, "messages", [{}] * 9999),
        (ChatRequest, "messages", [{"role": "user", "content": [{}] * 9999}]),
        (ChatRequest, "messages", [{"role": "assistant", "tool_calls": [{}] * 9999}]),
        (ChatRequest, "tools", [{}] * 9999),
        (
            ChatRequest,
            "tool_choice",
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{}] * 9999}},
        ),
        (DetokenizeRequest, "tokens", ["x"] * 9999),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_not_every_fault_of_many_is_gathered(model: type[BaseModel], field: str, items: Any) -> None:
    """A megabyte of faulty items held the server up for seconds, to tell of the first."""
    with pytest.raises(ValidationError) as error:
        model.model_validate({"prompt": "x", "messages": [{"role": "user", "content": "x"}], field: items})
    assert error.value.error_count() < 10


def test_there_are_more_than_four_hundred_of_them_and_each_is_another() -> None:
    requests = [request for kind in KINDS.values() for request in kind()]
    assert len(requests) == len(set(requests)) > 400


def test_a_mark_of_byte_order_is_passed_over_and_the_last_of_two_names_counts(
    server: http.client.HTTPConnection,
) -> None:
    """What RFC 8259 leaves to the reader of JSON (8.1 and 4)."""
    whole = json.dumps(GOOD[CHAT]).encode()
    assert ask(server, Malformed(CHAT, b"\xef\xbb\xbf" + whole))[0] == 200
    assert ask(server, Malformed(CHAT, b'{"messages": 7, ' + whole[1:]))[0] == 200
    assert ask(server, Malformed(CHAT, whole, f"{JSON}; charset=utf-8"))[0] == 200


@pytest.mark.parametrize("coding", ["identity", "utf-8", "gzip"])
def test_a_body_that_is_no_text_is_refused_whatever_its_header_says_of_its_coding(
    coding: str, server: http.client.HTTPConnection
) -> None:
    """Such a header kept the body from being looked at, and the answer was a 500."""
    for path, body in (
        (COMPLETION, b'{"prompt": "\\ud800"}'),
        (TOKENIZE, b'{"prompt": "\\ud800"}'),
        (CHAT, b"\x1f\x8b"),
    ):
        assert not fault(*ask(server, Malformed(path, body, coding=coding)))
    assert answers_good_ones(server)
