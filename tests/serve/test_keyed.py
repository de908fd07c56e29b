"""A real ``shosei serve`` that others can reach, and our own clients before it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_process import SHOSEI, Browser, child, make_model, serving, status
from shosei.cli.access import KEY_VARIABLE, client_environment
from shosei.log import Rating, Request, read_log
from shosei.verbs import Verbs
from verb import Shosei

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes die with their parent on Linux")

SECRET = "a-key-of-the-shop"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("serve") / "model")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keyed") / "run"


@pytest.fixture(scope="module")
def server(model: Path, run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with serving(model, "--run", run, "--host", "0.0.0.0", "--api-key", SECRET) as server:
        yield server


def test_it_was_found_ready_without_the_key_that_all_else_needs(server: tuple[subprocess.Popen[str], str]) -> None:
    _, url = server
    assert url.startswith("http://0.0.0.0:")
    assert [status(url + path) for path in ("/readyz", "/health", "/metrics", "/v1/models")] == [200, 200, 401, 401]


def test_the_chat_page_comes_without_a_key_and_what_it_tells_does_not(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    _, url = server
    assert [status(url + path) for path in ("/", "/page/app.js", "/page/about.json", "/page/none.js")] == [
        200,
        200,
        401,
        401,
    ]
    keyed = {"Authorization": f"Bearer {SECRET}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/page/about.json", headers=keyed)) as answer:
        about = json.load(answer)
    assert about["ratings"]["rater"] == "key", "who shows a key is known by it"
    with pytest.raises(urllib.error.HTTPError, match="421"):
        urllib.request.urlopen(urllib.request.Request(f"{url}/", headers={"Host": "rebound.example"}))


def test_verbs_that_know_the_servers_key_measure_it(
    server: tuple[subprocess.Popen[str], str], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, url = server
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    load = ["load", url, "--run", str(tmp_path / "run"), "--rate", "10", "--seconds", "0.5", "--set", "load.warmup_s=0"]
    done = subprocess.run([*SHOSEI, *load], capture_output=True, text=True, timeout=120)
    assert (done.returncode, "set OPENAI_API_KEY" in done.stderr) == (2, True)
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    Verbs(1, client_environment()).run("load", *load)
    asked = read_log(tmp_path / "run" / "log").of(Request)
    assert {request.status for request in asked} == {200}
    answered = [request for request in read_log(run / "log").of(Request) if request.purpose in ("load", "warm-up")]
    assert {request.api_key for request in answered} == {"api-key"}


def test_the_holder_of_the_key_may_name_who_rates(server: tuple[subprocess.Popen[str], str], run: Path) -> None:
    holder = Browser(server[1], Authorization=f"Bearer {SECRET}")
    rating = {"request": holder.ask(), "thumbs": "up", "user": "u-17"}
    assert Browser(server[1]).post(rating).status == 401
    assert holder.post(rating).status == 200
    assert len(read_log(run / "log").of(Rating)) == 1


def test_the_key_is_on_no_other_command_line_and_in_no_file(
    server: tuple[subprocess.Popen[str], str], run: Path
) -> None:
    process, _ = server
    for verb in ("http", "engine"):
        assert SECRET not in " ".join(child(process, verb).cmdline())
    written = [file.read_bytes() for file in run.rglob("*") if file.is_file()]
    assert written
    assert not any(SECRET.encode() in text for text in written)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "--api-key or --api-keys FILE, or that everybody may with --open"),
        (["--open", "--api-key", SECRET], "leave one out"),
        (["--api-key", "short"], "at least 16"),
        (["--api-keys", "none.toml"], "none.toml"),
        (["--api-key", SECRET, "--feedback-keys", "none.txt"], "may name users as they are"),
    ],
)
def test_a_server_that_anybody_could_use_does_not_start(
    shosei: Shosei, model: Path, options: list[str], words: str
) -> None:
    code, out, error = shosei("serve", model, "--port", "0", *options)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert words in error
