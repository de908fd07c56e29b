"""``shosei load`` as a process: what it prints, records, and keeps when it is stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from load_server import CLOSED, SHOSEI, Server, served
from shosei.log import Request, RunBegin, RunEnd, Window, read_log


@contextmanager
def cli(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SHOSEI_")}
    command = [SHOSEI, "load", *arguments, "--run", str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_requests(server: Server, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(server.bodies) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(server.bodies) >= count


def test_the_key_goes_to_the_server_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    arguments = ["--rate", "20", "--seconds", "0.5", "--set", "load.warmup_s=0"]
    with served() as server, cli(tmp_path / "run", server.url, *arguments) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert {header.get("Authorization") for header in server.headers} == {"Bearer sk-secret"}
    written = [file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert written
    assert not any(b"sk-secret" in text for text in [output, errors, *written])


def test_the_verb_reports_and_records_without_torch(tmp_path: Path) -> None:
    # Had any module been loaded that core does not have, the check at exit would say so.
    program = (
        "import atexit, sys; from shosei.cli.main import main\n"
        "heavy = {'torch', 'fastapi', 'transformers'}\n"
        "atexit.register(lambda: print(sorted(heavy & set(sys.modules)), file=sys.stderr))\n"
        "main()"
    )
    arguments = [
        "--run",
        str(tmp_path / "run"),
        "--rate",
        "30",
        "--seconds",
        "1",
        "--set",
        "load.warmup_s=0.2",
        "--json",
    ]
    with served() as server:
        command = [sys.executable, "-c", program, "load", server.url, *arguments]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    values = json.loads(done.stdout)
    log = read_log(tmp_path / "run" / "log")
    assert values["sent"] == values["answered"] == len(server.bodies) == len(log.of(Request))
    assert values["failed"] == {}
    assert done.stderr.decode().splitlines()[-1] == "[]"
    (begin,) = log.of(RunBegin)
    assert (begin.arrival, begin.config["rate"], begin.config["model"], begin.phase) == (
        "poisson",
        30,
        "mock",
        "inference",
    )
    assert len(begin.hashes["prompts"]) == 64
    assert {request.phase for request in log.of(Request)} == {"inference"}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_measured(signum: signal.Signals, tmp_path: Path) -> None:
    async def behave(number: int, request: web.Request) -> None:
        await asyncio.sleep(600 if number == 5 else 0.01)

    arguments = ["--rate", "20", "--set", "load.warmup_s=0.1"]
    with served(behave) as server, cli(tmp_path / "run", server.url, *arguments) as process:
        wait_for_requests(server, 20)
        process.send_signal(signum)
        output, _ = process.communicate(timeout=60)
        sent = len(server.bodies)
    assert process.returncode == 128 + signum
    assert "answered" in output.decode()
    log = read_log(tmp_path / "run" / "log")
    errors = Counter(request.error for request in log.of(Request))
    assert errors["cancelled"] >= 1
    assert errors[""] + errors["cancelled"] >= sent >= 20
    assert [window.name for window in log.of(Window)] == ["warmup", "steady"]
    assert log.of(Window)[1].end_ns <= log.of(RunEnd)[0].mono_ns
    assert log.of(RunEnd)[0].exit_code == 128 + signum


def test_a_killed_load_leaves_a_readable_log(tmp_path: Path) -> None:
    with served() as server, cli(tmp_path / "run", server.url, "--rate", "50") as process:
        wait_for_requests(server, 100)
        process.kill()
        process.communicate(timeout=60)
    log = read_log(tmp_path / "run" / "log")
    assert len(log.warnings) <= 1  # a torn last line
    assert len(log.of(Request)) > 20
    assert log.of(RunEnd) == []


def test_no_server_there_is_one_line_and_no_attempt(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=lambda: answer_once(listener), daemon=True).start()
        for url in (CLOSED, f"http://127.0.0.1:{listener.getsockname()[1]}", "localhost:8000"):
            with cli(tmp_path / "run", url) as process:
                _, errors = process.communicate(timeout=60)
            assert process.returncode == 2
            assert len(errors.decode().splitlines()) == 1, errors
    assert not (tmp_path / "run").exists()


def answer_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
