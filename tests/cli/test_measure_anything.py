"""Systems that have never heard of us get a card with the commands that anybody types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shosei.wire.endpoint import is_ready
from supervised import SHOSEI, cli, eventually, linux

STATUSES = {"ok", "insufficient", "na", "not_measured", "invalid"}

# Answers each question with its last character, on a port that it writes into a file.
SERVER = r"""
import http.server, json, pathlib, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply({"object": "list", "data": [{"id": "foreign"}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reply({"choices": [{"message": {"content": asked["messages"][-1]["content"][-1]}}]})

    def reply(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
pathlib.Path(sys.argv[1]).write_text(f"http://127.0.0.1:{server.server_port}")
server.serve_forever()
"""

TRAINER = r"""
for epoch in 0 1; do
    for step in 1 2 3 4 5 6 7 8; do
        sleep 0.15; echo "epoch $epoch: step $((epoch * 8 + step)), loss 2.5, 512 tokens in 4 samples"
    done
done
"""
PRINTED = r"epoch (?P<epoch>\d+): step (?P<step>\d+), loss (?P<loss>\S+), (?P<tokens>\d+) tokens in (?P<samples>\d+)"


@contextmanager
def foreign_server(folder: Path) -> Iterator[str]:
    place = folder / "url"
    options = ["--phase", "inference", "--name", "foreign"]
    with cli(folder / "run", sys.executable, "-c", SERVER, str(place), options=options) as supervisor:
        assert eventually(lambda: place.exists() and (url := place.read_text()) and is_ready(url))
        yield place.read_text()
        supervisor.terminate()
        supervisor.wait(60)


def suite(file: Path) -> Path:
    tasks = [
        {
            "id": f"{grader}-{number}",
            "suite": grader,
            "lang": "zh",
            "cluster": str(number),
            "grader": grader,
            "messages": [{"role": "user", "content": f"第{number}题：{'甲乙'[number % 2]}"}],
            "truth": "甲乙"[number % 3 % 2],
        }
        for grader in ("label", "exact")
        for number in range(12)
    ]
    file.write_text("\n".join(json.dumps(task, ensure_ascii=False) for task in tasks), encoding="utf-8")
    return file


def shosei(*words: object) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SHOSEI_")}
    subprocess.run([SHOSEI, *map(str, words)], check=True, capture_output=True, timeout=100, env=environment)


def cells(run: Path, phase: str) -> dict[str, Any]:
    shosei("card", run)
    found = json.loads((run / "card.json").read_text(encoding="utf-8"))["metrics"]
    assert len(found) == 30
    assert {cell["status"] for cell in found} <= STATUSES
    assert all(cell["status"] == "ok" or cell["reason"] for cell in found)
    return {cell["id"]: cell for cell in found if cell["phase"] == phase}


def valued(cells: dict[str, Any]) -> set[str]:
    return {name for name, cell in cells.items() if cell["value"] is not None}


@linux
def test_a_server_of_the_standard_library_has_twelve_cells(tmp_path: Path) -> None:
    tasks = suite(tmp_path / "tasks.jsonl")
    run = ("--run", tmp_path / "run", "--suite", tasks)
    with foreign_server(tmp_path) as url:
        shosei("load", url, *run, "--no-stream", "--rate", "40", "--seconds", "2", "--set", "load.warmup_s=0.2")
        shosei("exam", url, *run)
    found = cells(tmp_path / "run", "inference")
    assert found.keys() - valued(found) == {"gpu_utilization", "network", "satisfaction"}
    right = sum("甲乙"[number % 2] == "甲乙"[number % 3 % 2] for number in range(12))
    assert found["pass_at_1"]["value"] == pytest.approx(right / 12)
    assert (found["error_rate"]["value"], found["crash_rate"]["value"]) == (0, 0)


@linux
def test_a_shell_script_that_trains_has_eight_cells(tmp_path: Path) -> None:
    shosei("supervise", "--run", tmp_path / "run", "--step-pattern", PRINTED, "--", "sh", "-c", TRAINER)
    found = cells(tmp_path / "run", "training")
    accuracy = {"precision", "recall", "f1", "pass_at_1"}
    assert found.keys() - valued(found) == accuracy | {"gpu_utilization", "network", "satisfaction"}
    assert found["inference_speed"]["figures"]["tokens_per_s"]["value"] == pytest.approx(
        128 * found["inference_speed"]["value"]
    )
