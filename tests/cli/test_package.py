"""What an installation needs: the wheel holds every file, and the measure wing runs on the core dependencies alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import recorded
from shosei.wire.suite import Task, write_suite

ROOT = Path(__file__).parents[2]

# Everything that is installed by an extra but not by the core; importing it is an error, as where it is not installed.
CORE_ONLY = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "tokenizers", "safetensors", "fastapi", "starlette",
                                      "uvicorn", "prometheus_client", "babel", "cn2an", "jaconv", "kanjize"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import shosei
from shosei.cli.main import main
if len(sys.argv) > 1:
    main(sys.argv[1:])
print(shosei.__file__)
"""


class MockModel(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that knows one answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": "mock", "object": "model"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._send(
            {
                "id": "chat-1",
                "object": "chat.completion",
                "model": "mock",
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": "四十二"}, "finish_reason": "stop"}
                ],
                "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
            }
        )

    def _send(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), MockModel)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which a freshly built wheel was installed, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    [wheel] = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def shosei(installed: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOSEI")}
    return subprocess.run(
        [sys.executable, "-P", "-c", CORE_ONLY, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=installed,
        env=environment | {"PYTHONPATH": str(installed)},
    )


@pytest.mark.long
def test_an_installed_wheel_makes_the_card_of_a_copied_run(installed: Path, tmp_path: Path) -> None:
    assert str(installed) in shosei(installed).stdout
    run = recorded.write_run(tmp_path / "run")
    made = shosei(installed, "card", run)
    assert made.returncode == 0, made.stderr
    page = (run / "card.html").read_text(encoding="utf-8")
    assert "uPlot" in page
    assert "日本語" in page
    assert len(json.loads((run / "card.json").read_text())["metrics"]) == 30


def test_core_alone_measures_somebodys_server(installed: Path, url: str, tmp_path: Path) -> None:
    run, suite = tmp_path / "run", tmp_path / "suite.jsonl"
    question = [{"role": "user", "content": "42は漢数字で？"}]
    tasks = [("a", "四十二"), ("b", "四十三")]
    write_suite(
        suite,
        (Task(id=id, suite="s", lang="ja", cluster=id, messages=question, grader="exact", truth=t) for id, t in tasks),
    )
    load = ["load", url, "--run", run, "--suite", suite, "--no-stream", "--rate", "30", "--seconds", "2"]
    for arguments in (load, ["exam", url, "--run", run, "--suite", suite], ["card", run]):
        done = shosei(installed, *arguments)
        assert done.returncode == 0, done.stderr
    cells = {(m["id"], m["phase"]): m for m in json.loads((run / "card.json").read_text())["metrics"]}
    assert cells["pass_at_1", "inference"]["value"] == 0.5
    assert cells["inference_speed", "inference"]["value"] > 15
    assert cells["error_rate", "inference"]["value"] == 0
    assert cells["memory", "training"]["status"] == "not_measured"


@pytest.mark.parametrize("arguments", [["data", "--run", "run"], ["serve", "run"], ["quickstart", "--out", "run"]])
def test_a_verb_of_the_build_wing_says_what_to_install(installed: Path, arguments: list[str]) -> None:
    refused = shosei(installed, *arguments)
    assert refused.returncode == 2
    assert "pip install '.[quickstart]'" in refused.stderr
    assert refused.stderr.count("\n") == 1
