"""``shosei train --ranks``: torchrun without its command line, and one end for all ranks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from shosei.log import Restart, Run, RunBegin, Step, attempts, read_log
from shosei.spec.shape import write_shape
from supervised import eventually
from train_samples import TINY, make_run
from verb import Shosei

SHOSEI = [sys.executable, "-m", "shosei"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = make_run(tmp_path / "run")
    made.log.mkdir()
    write_shape(TINY, tmp_path / "tiny.toml")
    return made


def train(run: Run, *options: str) -> list[str]:
    settings = [f"train.preset={run.folder.with_name('tiny.toml')}", "train.epochs=100000", "train.dtype=float32"]
    named = [word for setting in settings for word in ("--set", setting)]
    return [*SHOSEI, "train", "--run", str(run.folder), *named, *options]


Start = Callable[[list[str]], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a command whose standard error is read; end what of it still runs after the test."""
    started = []

    def begin(command: list[str]) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOSEI_")}
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()  # its ranks end with it
        process.wait()


def trainers(*started: subprocess.Popen[str]) -> list[psutil.Process]:
    """The ranks below these processes."""
    below = [process for one in started for process in psutil.Process(one.pid).children(recursive=True)]
    return [process for process in below if "RANK" in process.environ()]


def both_train(run: Run) -> bool:
    return bool(attempts(run.log)) and {step.rank for step in read_log(run.log).of(Step)} == {0, 1}


def test_what_ranks_cannot_do_is_one_line(shosei: Shosei, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, words in {
        ("--ranks", "0"): "--ranks",
        ("--nodes", "2"): "give --ranks",
        ("--ranks", "1", "--nodes", "2"): "--rdzv HOST:PORT",
        ("--ranks", "1", "--rdzv", "host"): "--rdzv host: write HOST:PORT",
        ("--ranks", "1", "--rdzv", "host:0"): "write HOST:PORT",
        ("--ranks", "1", "--rdzv", "host:99999"): "write HOST:PORT",
        ("--ranks", "1", "--rdzv", "host:１２３"): "write HOST:PORT",
        ("--ranks", "1", "--rdzv", "http://host:29500"): "write HOST:PORT",
    }.items():
        code, out, err = shosei("train", "--run", run.folder, *options)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words in err
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = shosei("train", "--run", run.folder, "--ranks", "2")
    assert code == 2
    assert "under torchrun" in err


def test_what_every_rank_refuses_is_one_line(start: Start, run: Run) -> None:
    (run.data / "train.jsonl").write_text("{}\n")
    refused = start(train(run, "--ranks", "2"))
    _, err = refused.communicate()
    assert refused.returncode == 2
    assert err.splitlines()[-1].startswith(f"shosei: {run.data}/train.jsonl:1: not a training row")
    assert err.count("shosei: ") == 1


@pytest.mark.long
def test_a_killed_rank_costs_a_restart_and_an_end_on_purpose_none(start: Start, run: Run) -> None:
    process = start([*SHOSEI, "supervise", "--run", str(run.folder), "--", *train(run, "--ranks", "2")])
    assert eventually(lambda: both_train(run))
    next(rank for rank in trainers(process) if rank.environ()["RANK"] == "1").kill()
    assert eventually(lambda: [begin.verb for begin in read_log(run.log).of(RunBegin)].count("train") == 4)
    process.terminate()
    _, err = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert "rank 1 was ended by SIGKILL" in err
    log = read_log(run.log)
    assert [event.failure for event in log.of(Restart)][-1] == 1
    assert {begin.attempt for begin in log.of(RunBegin)} == {1}


@pytest.mark.long
def test_two_hosts_train_together_and_end_when_they_are_told_to(start: Start, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    hosts = [start(train(run, "--ranks", "1", "--nodes", "2", "--rdzv", place)) for _ in range(2)]
    assert eventually(lambda: both_train(run))
    ranks = trainers(*hosts)
    assert len(ranks) == 2
    for host in hosts:
        host.send_signal(signal.SIGTERM)
    assert [host.wait(60) for host in hosts] == [128 + signal.SIGTERM] * 2
    assert not any(rank.is_running() for rank in ranks)
