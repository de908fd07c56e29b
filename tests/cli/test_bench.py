"""``shosei bench``: a model of ours in its own engine, and servers that count, do not, or answer one by one."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from engine_process import make_engine_model
from load_server import CLOSED, Server, served, stream
from shosei.errors import InputError
from shosei.load.speed import measured_speeds
from shosei.model.hf_config import read_spec
from shosei.wire.timed_stream import TimedStream
from verb import Shosei

PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_engine_model(tmp_path_factory.mktemp("benched"))


def writing(tokens: int | None, *, count: bool = True, refused: str = "") -> Any:
    """A server's behaviour: so many tokens an answer, or as many as asked for, a piece each."""

    async def behave(number: int, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if refused in body:
            return web.json_response({"error": {"message": f"unknown field {refused}"}}, status=400)
        pieces = min(tokens or body["max_tokens"], body["max_tokens"])
        response = await stream(request, PIECE)
        for _ in range(pieces - 1):
            await asyncio.sleep(0.001)
            await response.write(PIECE)
        await response.write(LAST)
        prompt = len(body["messages"][0]["content"]) // 2
        usage = {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": pieces}}
        await response.write(f"data: {json.dumps(usage)}\n\n".encode() * count + b"data: [DONE]\n\n")
        return response

    return behave


def benched(shosei: Shosei, server: Server, *options: str) -> dict[str, Any]:
    code, out, err = shosei("bench", server.url, "--turns", "1", "--json", *options)
    assert code == 0, err
    return dict(json.loads(out))


def test_a_model_is_measured_in_its_engine(shosei: Shosei, model_folder: Path) -> None:
    code, out, err = shosei("bench", model_folder, "--turns", "1", "--json")
    assert code == 0, err
    values = json.loads(out)
    assert values["model"] == read_spec(model_folder).name
    assert [(speed["streams"], speed["prompt_tokens"], speed["new_tokens"]) for speed in values["speeds"]] == [
        (1, 512, 1),
        (1, 64, 64),
        (8, 64, 64),
        (32, 64, 64),
    ]
    for speed in values["speeds"]:
        assert speed["tokens_per_second"] > 0
        assert speed["share_of_limit"] == pytest.approx(speed["tokens_per_second"] / speed["limit"])
    assert values["machine"]["bandwidth"] > 1e8
    assert values["turns"] == 1


def test_the_table_names_the_machine_and_every_rate(shosei: Shosei, model_folder: Path) -> None:
    code, out, _ = shosei("bench", model_folder, "--turns", "1", "--weights", "int4")
    head, *rates = out.splitlines()
    assert code == 0
    assert "weights int4" in head
    assert "GB/s" in head
    assert "GFLOP/s" in head
    assert head.endswith("; one turn")
    assert [line.split("  ")[1].strip() for line in rates] == ["prompt of 512", "1 at once", "8 at once", "32 at once"]
    assert all("tokens/s" in line and "that these rates allow" in line for line in rates)


def test_a_server_is_measured_without_a_limit(shosei: Shosei) -> None:
    with served(writing(None)) as server:
        values = benched(shosei, server)
    assert values["model"] == "mock"
    assert values["machine"] is None
    assert values["share_of_limit"].startswith("not measured: ")
    assert all(speed["tokens_per_second"] > 0 for speed in values["speeds"])
    prompts = [body["messages"][0]["content"] for body in server.bodies]
    assert len(set(prompts)) == len(prompts)  # a cache of prefixes finds nothing
    assert len(prompts) == 1 + 2 * (1 + 1 + 8 + 32)  # a trial, and each once to warm up
    assert {len(prompt) for prompt in prompts[1:]} == {2 * 512, 2 * 64}  # two characters are a token there


def test_a_field_that_a_server_refuses_is_left_out(shosei: Shosei) -> None:
    with served(writing(None, refused="ignore_eos")) as server:
        values = benched(shosei, server, "--model", "other")
    assert values["model"] == "other"
    assert all(speed["tokens_per_second"] for speed in values["speeds"])
    assert ["ignore_eos" in body for body in server.bodies[:3]] == [True, False, False]


def test_uncounted_prompts_are_not_measured(shosei: Shosei) -> None:
    with served(writing(None, count=False)) as server:
        prefill, *decoding = benched(shosei, server)["speeds"]
    assert prefill["tokens_per_second"] is None
    assert "how many tokens a prompt has" in prefill["reason"]
    assert all(speed["tokens_per_second"] for speed in decoding)


def test_answers_that_end_early_are_not_measured(shosei: Shosei) -> None:
    with served(writing(2)) as server:
        prefill, *decoding = benched(shosei, server)["speeds"]
    assert prefill["tokens_per_second"]
    assert [speed["tokens_per_second"] for speed in decoding] == [None] * 3
    assert "the shortest after 2 tokens" in decoding[0]["reason"]


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (CLOSED, "no answer from"),
        ("/nowhere", "has no model"),
        ("http://u:p@host", "is not a URL"),
        ("localhost:8000", "write it as http://host:port"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(subject: str, words: str, shosei: Shosei) -> None:
    code, out, err = shosei("bench", subject)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_server_that_fails_is_told_in_one_line(shosei: Shosei) -> None:
    async def fail(number: int, request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "out of order"}}, status=500)

    with served(fail) as server:
        code, _, err = shosei("bench", server.url)
    assert code == 2
    assert "out of order" in err


def test_a_server_that_does_not_stream_is_told_so(shosei: Shosei) -> None:
    async def whole(number: int, request: web.Request) -> web.StreamResponse:
        choice = {"message": {"content": "好"}, "finish_reason": "length"}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})

    with served(whole) as server:
        code, out, err = shosei("bench", server.url)
    assert (code, out) == (2, "")
    assert "the answer came whole" in err
    assert err.count("\n") == 1


def test_answers_without_text_are_not_measured(shosei: Shosei) -> None:
    async def silent(number: int, request: web.Request) -> web.StreamResponse:
        usage = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}\n\n'
        return await stream(request, LAST, usage, b"data: [DONE]\n\n")

    with served(silent) as server:
        speeds = benched(shosei, server)["speeds"]
    assert {speed["reason"] for speed in speeds} == {"an answer had no text"}


def test_a_server_that_wants_a_key_for_answers_alone_is_told_so(
    shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(number: int, request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("Authorization") == "Bearer right":
            return None
        return web.json_response({"error": {"message": "Invalid API Key"}}, status=401)

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with served(locked) as server:
        code, _, err = shosei("bench", server.url)
    assert code == 2
    assert "wants a key: set OPENAI_API_KEY" in err


def test_a_server_that_never_answers_is_given_up(shosei: Shosei, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(number: int, request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(30)
        return None

    monkeypatch.setattr("shosei.load.speed._LONGEST_TRIAL_S", 0.2)
    with served(hang) as server:
        code, _, err = shosei("bench", server.url)
    assert code == 2
    assert "no whole answer within 0.2 s" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((CLOSED, "--weights", "int4"), "--weights int4 is for a model"),
        (("/nowhere", "--model", "x"), "is for a server"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(words: tuple[str, ...], said: str, shosei: Shosei) -> None:
    code, _, err = shosei("bench", *words)
    assert code == 2
    assert said in err


@pytest.mark.parametrize("verb", ["bench", "serve"])
def test_weights_that_are_cut_off_are_told_in_one_line(
    verb: str, shosei: Shosei, model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(model_folder, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    code, out, err = shosei(verb, folder)
    assert (code, out) == (2, "")
    assert "model.safetensors is truncated or damaged" in err
    assert err.count("\n") == 1


def test_what_the_engine_refuses_is_told_once(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    shutil.copytree(model_folder, folder)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"intermediate_size": 96', '"intermediate_size": 64'))
    done = subprocess.run(
        [sys.executable, "-m", "shosei", "bench", str(folder)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "the config asks for" in done.stderr
    assert done.stderr.count("\n") == 1


class _Timed:
    """Writes a token each ms to everybody at once."""

    def __init__(self, context: int) -> None:
        self.context: int | None = context
        self.longest = 0

    def answers(self, streams: int, prompt_tokens: int, new_tokens: int) -> list[TimedStream]:
        assert prompt_tokens > 0
        self.longest = max(self.longest, prompt_tokens + new_tokens)
        times = [1 + number / 1000 for number in range(new_tokens)]
        return [TimedStream(0.0, prompt_tokens, new_tokens, times) for _ in range(streams)]


@pytest.mark.parametrize("context", [16, 64, 65, 67, 127, 4096])
def test_a_short_context_holds_prompts_and_answers(context: int) -> None:
    timed = _Timed(context)
    prefill, *decoding = measured_speeds(timed, 1)
    assert timed.longest <= context
    assert prefill.is_prefill
    assert [(speed.streams, speed.is_prefill) for speed in decoding] == [(1, False), (8, False), (32, False)]
    assert all(speed.tokens_per_second for speed in (prefill, *decoding))


def test_a_context_without_room_is_refused() -> None:
    with pytest.raises(InputError, match="too short"):
        measured_speeds(_Timed(15), 1)


def test_a_server_of_a_small_context_is_asked_less(shosei: Shosei) -> None:
    async def small(number: int, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if len(body["messages"][0]["content"]) + body["max_tokens"] > 256:
            error = {"message": "too long", "code": "context_length_exceeded"}
            return web.json_response({"error": error}, status=400)
        return await writing(None)(number, request)

    with served(small) as server:
        prefill, *decoding = benched(shosei, server)["speeds"]
    assert prefill["reason"] == "context limit, status 400: too long"
    assert all(speed["tokens_per_second"] for speed in decoding)
