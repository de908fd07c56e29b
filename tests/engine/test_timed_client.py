"""The client that measures: what it reads is what the engine answers, and its times are in order."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_process import SPEC, engine_at_work, make_engine_model
from shosei.engine.client import EngineLost, GenerationFailed
from shosei.engine.engine import answer_greedily
from shosei.engine.protocol import Hello, frame
from shosei.engine.timed_client import TimedClient
from shosei.model import folder

PROMPTS = [[5, 6, 7], [200, 3], [9] * 40]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_engine_model(tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def client(model_folder: Path) -> Iterator[TimedClient]:
    with engine_at_work(model_folder) as path, TimedClient.connect(path, lambda: True, 60) as client:
        yield client


def test_the_tokens_are_the_engines(client: TimedClient, model_folder: Path) -> None:
    model, spec = folder.load(model_folder)
    assert [stream.tokens for stream in client.answers(PROMPTS, 12)] == answer_greedily(
        model, spec, PROMPTS, [12] * len(PROMPTS), []
    )


def test_every_token_has_its_time(client: TimedClient) -> None:
    streams = client.answers(PROMPTS, 12)
    assert [(stream.tokens_in, len(stream.times), stream.finish) for stream in streams] == [
        (len(prompt), 12, "length") for prompt in PROMPTS
    ]
    assert all([stream.sent, *stream.times] == sorted([stream.sent, *stream.times]) for stream in streams)


def test_a_stream_may_join_others(client: TimedClient) -> None:
    first = client.submit(PROMPTS[0], 200)
    client.read_until(lambda: len(first.tokens) >= 3)
    second = client.submit(PROMPTS[1], 3)
    client.read_until(lambda: bool(first.finish and second.finish))
    assert (len(first.tokens), len(second.tokens)) == (200, 3)
    assert first.times[0] < second.sent < second.times[-1] < first.times[-1]


def test_a_refused_request_is_told(client: TimedClient) -> None:
    with pytest.raises(GenerationFailed, match=str(SPEC.context_length)):
        client.answers([[1] * SPEC.context_length], 1)


def test_an_engine_that_never_listens(tmp_path: Path) -> None:
    with pytest.raises(EngineLost, match="no engine answers"):
        TimedClient.connect(tmp_path / "nobody", lambda: False, 60)


def test_an_engine_that_goes_away() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(EngineLost, match="closed the connection"):
        TimedClient(ours)


def test_an_engine_that_is_killed_before_it_has_read_what_is_asked() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(frame(Hello("small", 300, 4000, 4, 16_000)))
    with TimedClient(ours) as client:
        stream = client.submit(PROMPTS[0], 3)
        theirs.close()
        with pytest.raises(EngineLost, match="closed the connection"):
            client.read_until(lambda: bool(stream.finish))
        with pytest.raises(EngineLost, match="closed the connection"):
            client.submit(PROMPTS[0], 3)
