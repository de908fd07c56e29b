"""``shosei serve`` and ``shosei chat`` as processes: refusals before loading, kills, hangs, and what they leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from recorded import rows
from serve_process import SHOSEI, Browser, child, make_model, serving, status
from shosei.card.timeline import timeline
from shosei.card.words import rendered
from shosei.log import ProcExit, Request, Restart, RunBegin, RunEnd, attempts, read_log
from shosei.metrics.cells import compute

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes die with their parent on Linux")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("serve") / "model")


def refusal(*arguments: str | Path) -> str:
    """Standard error of a verb that must end with exit code 2 and one line."""
    done = subprocess.run([*SHOSEI, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "loading" not in done.stderr
    return done.stderr


def test_busy_port_is_said_before_anything_is_loaded(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} on 127.0.0.1 is busy" in refusal("serve", model, "--port", port)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("verb", ["serve", "chat"])
def test_missing_file_is_named(model: Path, tmp_path: Path, verb: str, file: str) -> None:
    broken = tmp_path / "model"
    shutil.copytree(model, broken)
    (broken / file).unlink()
    assert f"{file} is missing" in refusal(verb, broken)


def test_chat_says_what_its_server_said(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "model"
    shutil.copytree(model, broken)
    (broken / "tokenizer.json").write_text("{}")
    assert "tokenizer.json is not a tokenizer of ours" in refusal("chat", broken)


def test_no_folder_and_no_server(tmp_path: Path) -> None:
    assert "has no model" in refusal("serve", tmp_path / "nothing")
    assert "no answer from" in refusal("chat", "http://127.0.0.1:9")


@pytest.mark.long
def test_readiness_follows_the_engine_and_nothing_outlives_a_killed_server(model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with serving(model, "--run", run) as (server, url):  # without a spare, which may answer before anybody can look
        engine = child(server, "engine")
        engine.send_signal(signal.SIGSTOP)
        assert status(f"{url}/readyz") == 503
        assert status(f"{url}/health") == 200
        engine.send_signal(signal.SIGCONT)
        until(lambda: status(f"{url}/readyz") == 200)

        engine.kill()
        engine.wait()
        assert status(f"{url}/readyz") == 503
        until(lambda: status(f"{url}/readyz") == 200)
        log = read_log(run / "log", 1)
        assert [(end.child, end.signal, end.planned) for end in log.of(ProcExit)] == [("engine", 9, False)]
        assert max(counter.failure for counter in log.of(Restart)) == 1

        family = psutil.Process(server.pid).children(recursive=True)
        assert len(family) >= 2
        server.kill()
        until(lambda: not any(process.is_running() for process in family))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_server_drains_for_as_long_as_it_is_told_and_ends_at_a_second_signal(tmp_path: Path, signum: int) -> None:
    model = make_model(tmp_path / "model", context=4096)
    with serving(model, "--drain-s", "600", "--run", tmp_path / "run") as (server, url):
        body = json.dumps({"prompt": "今天", "max_tokens": 3000, "stream": True, "ignore_eos": True}).encode()
        request = urllib.request.Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            response.readline()
            engine = child(server, "engine")
            engine.send_signal(signal.SIGSTOP)  # so that the answer does not end by itself
            try:
                server.send_signal(signum)
                until(lambda: status(f"{url}/v1/models") == 503)
                assert status(f"{url}/readyz") == 503
                assert status(f"{url}/livez") == 200
                server.send_signal(signum)
                assert b'"code":"stopped"' in response.read()
            finally:
                engine.send_signal(signal.SIGCONT)
        assert server.wait(timeout=60) == 0
    (event,) = read_log(tmp_path / "run" / "log", 1).of(Request)
    assert (event.status, event.error) == (200, "5xx")


@pytest.mark.long
def test_without_a_run_nothing_is_recorded_and_the_next_server_clears_up_after_a_killed_one(model: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        with serving(model, TMPDIR=temporary) as (server, url):
            assert status(f"{url}/readyz") == 200
            (private,) = Path(temporary).glob("shosei-*")
            assert [file.name for file in private.iterdir()] == ["engine.sock"]
            assert all("SHOSEI_RUN" not in child(server, verb).environ() for verb in ("engine", "http"))
            server.kill()
        assert private.exists()
        with serving(model, TMPDIR=temporary) as (server, url):
            assert not private.exists()
            assert len(list(Path(temporary).glob("shosei-*"))) == 1
        assert not list(Path(temporary).glob("shosei-*"))


@pytest.mark.long
def test_a_file_says_what_flags_say_and_the_run_keeps_it(model: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "serve.toml", tmp_path / "run"
    file.write_text('[serve]\nname = "file"\nslots = 3\nbody_limit = 1024\nstrict = true\nweights = "int4"\n')
    with serving(model, "--run", run, "--config", file, "--name", "flag", "--set", "serve.slots=2") as (_, url):
        browser = Browser(url)
        assert browser.post({"model": "flag", "prompt": "x", "max_tokens": 1}, "/v1/completions").status == 200
        assert browser.post({"prompt": "x" * 1024}, "/v1/completions").status == 413
        assert browser.post({"prompt": "x", "of_tomorrow": 1}, "/v1/completions").body["param"] == "of_tomorrow"
    [begin] = [begin for begin in read_log(run / "log", 1).of(RunBegin) if begin.verb == "serve"]
    assert begin.config.items() >= {"name": "flag", "slots": 2, "weights": "int4"}.items()
    kept = tomllib.loads((run / "run.toml").read_text())["serve"]
    assert kept.items() >= {"name": "flag", "slots": 2, "body_limit": 1024, "weights": "int4"}.items()


def test_interrupted_server_finishes_its_run_and_keeps_no_words(model: Path, tmp_path: Path) -> None:
    with serving(model, "--run", tmp_path / "run") as (server, url):
        body = b'{"prompt": "secret words", "max_tokens": 3}'
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/completions", body, headers)) as response:
            answer = json.load(response)
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
    log = read_log(tmp_path / "run" / "log", 1)
    assert {(end.verb, end.exit_code) for end in log.of(RunEnd)} == {("serve", 0), ("http", 0), ("engine", 0)}
    assert [(event.id, event.phase) for event in log.of(Request)] == [(answer["id"], "inference")]
    assert not any(b"secret" in segment.read_bytes() for segment in (tmp_path / "run" / "log").iterdir())


def test_a_server_that_is_started_again_goes_on_in_its_attempt(model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for end in (signal.SIGKILL, signal.SIGTERM):
        with serving(model, "--run", run) as (server, url):
            browser = Browser(url)
            assert browser.post({"request": browser.ask(), "thumbs": "up"}).status == 200
            server.send_signal(end)
            server.wait(timeout=30)
    assert attempts(run / "log") == [1]
    log = read_log(run / "log")
    found = {metric.id: metric for metric in compute(log) if metric.phase == "inference"}
    assert (found["crash_rate"].n, found["restart_count"].n, found["restart_count"].value) == (4, 4, 0)
    assert found["satisfaction"].n == 2
    processes = [lane for lane in timeline(log).lanes if lane.kind == "process"]
    assert [(lane.label, len(lane.bars)) for lane in processes] == [("engine", 2), ("http", 2)]


@pytest.mark.long  # test_engine_deaths.py has the rules, this two real kills
def test_a_kill_under_load_is_an_error_for_what_was_in_flight_and_twice_is_enough(model: Path) -> None:
    with serving(model, "--spare") as (server, url):
        until(lambda: len(engines(server)) == 2)  # the second is the spare
        for _ in range(2):
            first = engines(server)[0]
            first.send_signal(signal.SIGSTOP)  # or the small model would have answered by then
            with ThreadPoolExecutor() as clients:
                poison = clients.submit(Browser(url).post, POISON, "/v1/completions")
                until(lambda: in_flight(url) == 1)
                first.kill()
                answer = poison.result()
            assert (answer.status, answer.body["code"]) == (503, "engine_lost")
            until(lambda: status(f"{url}/readyz") == 200)
        answer = Browser(url).post(POISON, "/v1/completions")
        assert (answer.status, answer.body["code"]) == (400, "quarantined")
        Browser(url).ask()
        assert "shosei_engine_restarts_total 2.0" in text_at(f"{url}/metrics")


def test_the_access_log_is_a_line_of_json_for_each_request_without_its_words(model: Path, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log, serving(model, "--log", "json", stderr=log) as (_, url):
        answer = Browser(url).post({"prompt": "secret words", "max_tokens": 3}, "/v1/completions")
        assert Browser(url).post({"prompt": "secret words", "model": "none"}, "/v1/completions").status == 404
        assert status(f"{url}/secret?words") == 404
    text = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    completed, refused = [line for line in lines if line["path"] == "/v1/completions"]
    assert (completed["id"], completed["method"], completed["status"]) == (answer.body["id"], "POST", 200)
    assert completed["tokens_in"] == answer.body["usage"]["prompt_tokens"]
    assert completed["tokens_out"] == answer.body["usage"]["completion_tokens"]
    assert 0 < completed["first_token_s"] <= completed["duration_s"]
    assert (refused["status"], refused["error"], refused["tokens_out"]) == (404, "model_not_found", None)
    assert [line["status"] for line in lines if line["path"] == "/secret"] == [404]
    assert "words" not in text


POISON = {"prompt": "毒", "max_tokens": 50, "temperature": 0}


def engines(server: subprocess.Popen[str]) -> list[psutil.Process]:
    """The engine and its spare, the older one first."""
    family = psutil.Process(server.pid).children()
    return sorted((it for it in family if "engine" in it.cmdline()), key=psutil.Process.create_time)


def in_flight(url: str) -> float:
    (line,) = (line for line in text_at(f"{url}/metrics").splitlines() if line.startswith("vllm:num_requests_running"))
    return float(line.split()[-1])


def test_the_streams_of_a_killed_front_are_errors(model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    body = b'{"prompt": "secret words", "max_tokens": 100, "stream": true}'
    request = (
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    )
    with serving(model, "--run", run) as (server, url), ExitStack() as clients:
        child(server, "engine").send_signal(signal.SIGSTOP)  # or the small model would have answered by then
        place = ("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(12):
            client = clients.enter_context(socket.create_connection(place))
            client.sendall(request % len(body) + b"\r\n" + body)
        until(lambda: "shosei_requests_in_flight 12.0" in text_at(f"{url}/metrics"))
        assert not read_log(run / "log").of(Request), "what is in flight is no error yet"
        front = child(server, "http")
        front.kill()
        front.wait()
        until(lambda: any(end.child == "http" for end in read_log(run / "log").of(ProcExit)))
        child(server, "engine").send_signal(signal.SIGCONT)
    log = read_log(run / "log")
    assert not log.warnings
    assert [event.error for event in log.of(Request)] == ["lost"] * 12
    (rate,) = (metric for metric in compute(log) if (metric.id, metric.phase) == ("error_rate", "inference"))
    assert (rate.value, rate.n) == (1.0, 12)
    assert rows(rendered(rate), "By type") == {"chat": ["server died", 12, 1.0]}
    assert not any(b"secret" in file.read_bytes() for file in (run / "log").iterdir())


def text_at(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as response:
        return str(response.read().decode())


def test_chat_serves_a_folder_itself_and_leaves_nothing(model: Path) -> None:
    before = {process.pid for process in psutil.process_iter()}
    done = subprocess.run(
        [*SHOSEI, "chat", str(model)],
        input="你好\n".encode(),
        capture_output=True,
        timeout=90,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().endswith("\n")
    mine = [process for process in psutil.process_iter(["pid", "cmdline"]) if process.pid not in before]
    assert not [process for process in mine if str(model) in (process.info["cmdline"] or [])]


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come; the test's own time limit ends it."""
    while not condition():
        time.sleep(0.05)
