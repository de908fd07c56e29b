"""Two targets measured by turns: the order, what a kill leaves, and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from load_server import CHUNK, LAST, SHOSEI, Server, served, stream
from shosei.cli.main import main
from shosei.compare.sides import pairs_of_turns
from shosei.load.alternate import read_target, turns
from shosei.log import Log, ProcExit, Request, RunBegin, RunEnd, Sample, Score, attempts, open_run, read_log
from shosei.metrics.cells import compute

LOAD = "[load]\nrate = 40\nseconds = 0.6\nwarmup_s = 0\n"


async def slow(number: int, request: web.Request) -> None:
    await asyncio.sleep(0.1)


def target(folder: Path, name: str, url: str, more: str = LOAD, serve: list[str] | None = None) -> Path:
    file = folder / f"{name}.toml"
    file.write_text(f"name = {json.dumps(name)}\nurl = {json.dumps(url)}\nserve = {json.dumps(serve or [])}\n{more}")
    return file


def command(*arguments: str | Path) -> list[str]:
    return [str(word) for word in (SHOSEI, "alternate", *arguments)]


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("SHOSEI_")}


def alternate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, env=environment(), check=False
    )


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def logs(run: Path) -> list[Log]:
    return [read_log(run / "log", attempt) for attempt in attempts(run / "log")]


def taken(log: Log) -> tuple[int, str, int | None]:
    """A turn's number and target, as its attempt's first record says, and how it ended."""
    first = min(log.of(RunBegin), key=lambda begin: begin.mono_ns)
    assert first.verb == "alternate"
    ends = [end.exit_code for end in log.of(RunEnd) if end.verb == "alternate"]
    return first.turn, first.target, ends[0] if ends else None


def tiny_suite(folder: Path) -> Path:
    suite = folder / "suite.jsonl"
    tasks = [
        {
            "id": f"t{number}",
            "suite": "tiny",
            "lang": "zh",
            "cluster": f"c{number}",
            "grader": "exact",
            "messages": [{"role": "user", "content": "你好吗？"}],
            "truth": "你好",
        }
        for number in range(3)
    ]
    suite.write_text("\n".join(json.dumps(task, ensure_ascii=False) for task in tasks), encoding="utf-8")
    return suite


def wait_for_requests(server: Server, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(server.bodies) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(server.bodies) >= count


@pytest.fixture
def fast() -> Iterator[Server]:
    with served() as server:
        yield server


def test_the_order_is_abba_and_each_pair_has_a_seed_of_its_own(tmp_path: Path) -> None:
    a, b = (read_target(target(tmp_path, name, "http://127.0.0.1:1")) for name in "ab")
    order = turns(a, b, 5)
    assert "".join(turn.target.name for turn in order) == "abbaabbaab"
    assert [turn.number for turn in order] == list(range(1, 11))
    for first, second in pairwise(order):
        assert (first.seed == second.seed) == (first.number % 2 == 1)


def test_every_turn_is_an_attempt_with_metrics_of_its_own(tmp_path: Path, fast: Server) -> None:
    run = tmp_path / "run"
    with served(slow) as slower:
        files = [target(tmp_path, "quick", fast.url), target(tmp_path, "slow", slower.url)]
        done = alternate(*files, "--repeats", "2", "--out", run, "--json")
    assert done.returncode == 0, done.stderr
    assert "--repeats 2: a verdict of 'shosei compare' needs 5 turns" in done.stderr.split("turn 1 of 4")[0]
    order = ["quick", "slow", "slow", "quick"]
    values = json.loads(done.stdout)
    assert [turn["target"] for turn in values["turns"]] == order
    found = logs(run)
    assert [taken(log) for log in found] == [(number, name, 0) for number, name in enumerate(order, 1)]
    for log, name in zip(found, order, strict=True):
        value = {(metric.id, metric.phase): metric.value for metric in compute(log)}
        assert value["inference_speed", "inference"] is not None
        assert (value["response_time", "inference"] or 0) > (99 if name == "slow" else 19)  # the server sleeps as long
    seeds = [begin.seeds["load"] for log in found for begin in log.of(RunBegin) if begin.verb == "load"]
    assert seeds == [1, 1, 2, 2]


def test_after_a_kill_the_same_command_takes_the_turns_that_are_missing(tmp_path: Path, fast: Server) -> None:
    run, more = tmp_path / "run", LOAD.replace("0.6", "2")
    with served() as other:
        arguments = (target(tmp_path, "a", fast.url, more), target(tmp_path, "b", other.url, more))
        with started(*arguments, "--repeats", "1", "--out", run) as process:
            wait_for_requests(other, 3)
            process.send_signal(signal.SIGSTOP)  # it must not end before it is killed, however slow this machine is
            refused = alternate(*arguments, "--repeats", "1", "--out", run)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert (refused.returncode, "another 'shosei alternate'" in refused.stderr) == (2, True), refused.stderr
        assert [taken(log) for log in logs(run)] == [(1, "a", 0), (2, "b", None)]
        for _ in range(2):  # the second time there is nothing left to do
            done = alternate(*arguments, "--repeats", "1", "--out", run)
            assert done.returncode == 0, done.stderr
            assert f"compare {run}" in done.stdout
    assert [taken(log) for log in logs(run)] == [(1, "a", 0), (2, "b", None), (2, "b", 0)]


def test_a_failing_turn_keeps_what_was_measured(tmp_path: Path, fast: Server) -> None:
    run, files = tmp_path / "run", (target(tmp_path, "a", fast.url), target(tmp_path, "b", "http://127.0.0.1:9"))
    failed = alternate(*files, "--repeats", "1", "--out", run)
    assert failed.returncode == 2
    assert "turn 2 (b) failed" in failed.stderr
    assert [taken(log) for log in logs(run)] == [(1, "a", 0), (2, "b", 2)]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_measured(tmp_path: Path, fast: Server, signum: signal.Signals) -> None:
    stopped, more = tmp_path / "stopped", LOAD.replace("0.6", "60")
    files = target(tmp_path, "a", fast.url, more), target(tmp_path, "b", "http://127.0.0.1:9", more)
    with started(*files, "--repeats", "1", "--out", stopped) as process:
        wait_for_requests(fast, len(fast.bodies) + 3)
        process.send_signal(signum)
        _, said = process.communicate()
    assert process.returncode == 128 + signum
    assert "turn 1 (a) was broken off; the same command goes on from there" in said
    (log,) = logs(stopped)
    assert taken(log) == (1, "a", 128 + signum)
    assert {end.verb for end in log.of(RunEnd)} == {"load", "alternate"}
    assert log.of(Request)


def test_a_target_is_served_for_the_length_of_its_turn(tmp_path: Path, fast: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = tmp_path / "server.py"
    program.write_text(
        "import sys; from aiohttp import web; import load_server\n"
        "app = web.Application(); server = load_server.Server(load_server.well)\n"
        "app.add_routes([web.get('/v1/models', load_server.models), web.post('/v1/chat/completions', server.chat)])\n"
        f"web.run_app(app, host='127.0.0.1', port={port}, print=None)\n"
    )
    serve = ["env", f"PYTHONPATH={Path(__file__).parents[1] / 'support'}", sys.executable, str(program)]
    more = f"{LOAD}[exam]\nsuite = {json.dumps(str(tiny_suite(tmp_path)))}\nconcurrency = 2\n"
    own = target(tmp_path, "own", f"http://127.0.0.1:{port}/v1", more, serve)
    run = tmp_path / "run"
    done = alternate(own, target(tmp_path, "other", fast.url, more), "--repeats", "1", "--out", run)
    assert done.returncode == 0, done.stderr
    first, second = logs(run)
    (end,) = first.of(ProcExit)
    assert (end.child, end.planned, end.phase) == ("server", True, "inference")
    assert any(sample.scope == "tree" for sample in first.of(Sample))
    assert not second.of(ProcExit)
    assert len(first.of(Score)) == len(second.of(Score)) == 3
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    in_the_way = target(tmp_path, "own", fast.url, serve=serve)
    refused = alternate(in_the_way, target(tmp_path, "other", fast.url), "--repeats", "1", "--out", tmp_path / "new")
    assert refused.returncode == 2
    assert "stop that one first" in refused.stderr


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line with which the arguments are refused."""
    with pytest.raises(SystemExit) as end:
        main(["alternate", *map(str, arguments)])
    line = capsys.readouterr().err
    assert (end.value.code, line.count("\n")) == (2, 1), line
    return line


def test_what_cannot_be_compared_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, out = "http://127.0.0.1:9", ("--out", tmp_path / "run")
    a = target(tmp_path, "a", url)
    for more, said in (
        (LOAD.replace("40", "41"), "load.rate is 40.0 for a and 41.0 for b"),
        (f"{LOAD}seed = 3\n", "load.seed: leave it out"),
        (LOAD.replace("rate", "rte"), "unknown key 'load.rte'; did you mean 'rate'?"),
        ("load = 'fast'\n", "load: write it as a table, such as load = { }"),
        (f"sreve = []\n{LOAD}", "unknown key 'target.sreve'; did you mean 'serve'?"),
        (f"{LOAD}[exam]\nsamples = 2\n", "exam.samples is None for a"),
    ):
        assert said in refusal(capsys, a, target(tmp_path, "b", url, more), *out)
    without_suite = [target(tmp_path, name, url, f"{LOAD}[exam]\nsamples = 2\n") for name in "ab"]
    assert "exam.suite is missing" in refusal(capsys, *without_suite, *out)
    words = tmp_path / "words.toml"
    words.write_text(f'name = "b"\nurl = "{url}"\nserve = "shosei serve 走る"\n')
    assert 'target.serve: write it as a list of words, such as serve = ["shosei", "serve", "走る"]' in refusal(
        capsys, a, words, *out
    )
    assert "two names" in refusal(capsys, a, a, *out)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_another_measurement_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (target(tmp_path, name, "http://127.0.0.1:9") for name in "ab")
    for verb in ("alternate", "load"):
        run = open_run(tmp_path / verb, must_exist=False)
        with run.recording(verb, target="a", turn=1, hashes={"target:a": "of another file"}, hardware={}):
            pass
        assert "another measurement" in refusal(capsys, a, b, "--out", run.folder)
        assert attempts(run.log) == [1]


def test_a_turn_in_which_this_machine_was_too_busy_is_measured_twice_more(tmp_path: Path) -> None:
    """The server has its answers ready, and each is so many pieces that a client does nothing but read them."""

    async def behave(number: int, request: web.Request) -> web.StreamResponse:
        return await stream(request, CHUNK * 10_000 + LAST)

    run = tmp_path / "run"
    more = "[load]\nrate = 400\nseconds = 0.6\nwarmup_s = 0\ndrain_s = 0.2\nconcurrency = 4\n"
    with served(behave) as server:
        files = [target(tmp_path, name, server.url, more) for name in ("a", "b")]
        done = alternate(*files, "--out", run, "--repeats", "1")
    assert done.returncode == 0, done.stderr
    assert [taken(log) for log in logs(run)] == [
        (1, "a", 5),
        (1, "a", 5),
        (1, "a", 0),
        *((2, "b", n) for n in (5, 5, 0)),
    ]
    assert done.stderr.count("this machine was too busy; it is measured again") == 4
    assert done.stderr.count("too busy 3 times; what it timed is invalid") == 2
    first, second = pairs_of_turns(logs(run))
    assert [[log.attempt for log in side] for _, side in (first, second)] == [[3], [6]]
