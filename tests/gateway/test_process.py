"""``shosei gateway`` as a process: what it prints, how it ends, what a killed one leaves."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import web

from gateway_process import gateway
from load_server import served, stream
from shosei.log import Fault, Request, RunBegin, RunEnd, read_log
from verb import Shosei

QUESTION: dict[str, Any] = {"model": "mock", "messages": [{"role": "user", "content": "你好"}]}


def asking(url: str, key: str = "agent:solver") -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_answers_end_and_closes_the_record(tmp_path: Path, signum: int) -> None:
    entered, go_on = threading.Event(), threading.Event()

    async def late(number: int, request: web.Request) -> None:
        entered.set()
        while not go_on.is_set():
            await asyncio.sleep(0.01)

    answers: list[str | None] = []

    def ask(url: str) -> None:
        answers.append(asking(url).chat.completions.create(**QUESTION).choices[0].message.content)

    with served(late) as upstream, gateway("--upstream", upstream.url, "--run", tmp_path) as (process, url):
        assert url.endswith(f"/r/{tmp_path.name}/v1")
        client = threading.Thread(target=ask, args=(url,))
        client.start()
        assert entered.wait(30)
        process.send_signal(signum)
        until(lambda: refuses(url))
        go_on.set()
        assert process.wait(30) == 0
        client.join()
    assert answers == ["你好"]
    log = read_log(tmp_path / "log")
    assert [(event.agent, event.attribution, event.error) for event in log.of(Request)] == [("solver", "key", "")]
    assert [begin.verb for begin in log.of(RunBegin)] == ["gateway"]
    assert [(end.verb, end.exit_code) for end in log.of(RunEnd)] == [("gateway", 0)]


def test_a_killed_gateway_leaves_its_record_and_cuts_its_clients(tmp_path: Path) -> None:
    async def endless(number: int, request: web.Request) -> web.StreamResponse | None:
        if number == 0:
            return None
        response = await stream(request, b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n')
        while True:
            await response.write(b": still here\n\n")
            await asyncio.sleep(0.05)

    with served(endless) as upstream, gateway("--upstream", upstream.url, "--run", tmp_path) as (process, url):
        asking(url).chat.completions.create(**QUESTION)
        parts = asking(url).chat.completions.create(**QUESTION, stream=True)
        assert next(iter(parts)).choices[0].delta.content == "x"
        until(lambda: bool(read_log(tmp_path / "log").of(Request)))
        assert len(read_log(tmp_path / "log").of(Request)) == 1
        process.kill()
        with pytest.raises(openai.APIError):
            list(parts)
    log = read_log(tmp_path / "log")
    assert [(call.error, call.agent, call.stream) for call in log.of(Request)] == [
        ("", "solver", False),
        ("lost", "solver", True),
    ]
    assert log.of(RunEnd) == []


def test_the_log_counts_what_was_injected(tmp_path: Path) -> None:
    with served() as upstream:
        arguments = ("--upstream", upstream.url, "--run", tmp_path, "--inject", "500=0.5", "--seed", "4")
        with gateway(*arguments, OPENAI_API_KEY="sk-hosted") as (process, url):
            failed = 0
            for _ in range(20):
                try:
                    asking(url).chat.completions.create(**QUESTION)
                except openai.InternalServerError:
                    failed += 1
            process.terminate()
            assert process.wait(30) == 0
        assert all(headers["Authorization"] == "Bearer sk-hosted" for headers in upstream.headers)
    log = read_log(tmp_path / "log")
    assert 0 < failed < 20
    assert len(log.of(Fault)) == failed == 20 - len(upstream.bodies)
    assert sum(event.error == "5xx" for event in log.of(Request)) == failed
    assert b"sk-hosted" not in b"".join(file.read_bytes() for file in tmp_path.rglob("*.jsonl"))


def test_without_a_run_nothing_is_written_and_a_recording_needs_no_upstream(tmp_path: Path) -> None:
    with served() as upstream, gateway("--upstream", upstream.url, "--record", tmp_path / "tape") as (process, url):
        asking(url).chat.completions.create(**QUESTION)
        process.terminate()
        assert process.wait(30) == 0
    with gateway("--replay", tmp_path / "tape", "--calls", "1") as (_, url):
        assert asking(url).chat.completions.create(**QUESTION).choices[0].message.content == "你好"
        with pytest.raises(openai.PermissionDeniedError):
            asking(url).chat.completions.create(**QUESTION)
    assert [path.name for path in tmp_path.iterdir()] == ["tape"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--upstream URL"),
        (["--upstream", "localhost:8000"], "is not a URL"),
        (["--upstream", "http://x", "--inject", "429"], "429=SHARE"),
        (["--upstream", "http://x", "--keep-bodies"], "there is no run"),
        (["--upstream", "http://x", "--upstream-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
        (["--upstream", "http://x", "--record", "a", "--replay", "b"], "not both"),
        (["--upstream", "http://x", "--record", __file__], "name a folder"),
        (["--upstream", "http://localhost:8123/v1", "--port", "8123"], "choose another --port"),
        (["--replay", "nowhere"], "no recording"),
    ],
)
def test_bad_input_is_one_line(shosei: Shosei, arguments: list[str], words: str) -> None:
    port = [] if "--port" in arguments else ["--port", "0"]
    code, out, error = shosei("gateway", *port, *arguments)
    assert code == 2
    assert words in error
    assert error.count("\n") == 1
    assert out == ""


def test_a_password_in_the_url_is_refused_before_anything_is_written(shosei: Shosei, tmp_path: Path) -> None:
    code, _, error = shosei("gateway", "--upstream", "http://me:secret@host", "--run", tmp_path / "run")
    assert (code, "secret" in error, list(tmp_path.iterdir())) == (2, False, [])


def test_a_busy_port_is_said(shosei: Shosei) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, error = shosei("gateway", "--upstream", "http://127.0.0.1:9", "--port", port)
    assert (code, f"port {port} on 127.0.0.1 is busy" in error) == (2, True)


def refuses(url: str) -> bool:
    """Whether further calls are refused, to be tried again elsewhere."""
    try:
        urllib.request.urlopen(f"{url}/models", timeout=30).close()
    except urllib.error.HTTPError as error:
        return error.code == 503 and "Retry-After" in error.headers
    return False


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)
