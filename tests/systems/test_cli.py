"""``shosei agents``, as a user calls it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from agents_model import Model, arithmetic
from agents_runs import HERE, asking_command, command, printed, suite, tasks
from shosei.errors import InputError
from shosei.log import RunBegin, RunEnd, Score, Workflow, read_log
from shosei.wire.suite import write_suite
from supervised import eventually
from verb import Shosei

PRODUCTS = [f"{number}*678是多少？" for number in (345, 345)]


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    server = Model(arithmetic)
    yield server
    server.stop()


def test_the_shipped_systems_are_listed(shosei: Shosei) -> None:
    code, out, _ = shosei("agents", "list", "--json")
    assert code == 0
    assert list(printed(out)) == ["single", "router", "checker", "planner", "debate"]


def test_a_system_and_its_baseline_are_measured(tmp_path: Path, model: Model, shosei: Shosei) -> None:
    run = tmp_path / "run"
    asked = suite(tmp_path, PRODUCTS, "233910")
    code, out, _ = shosei(
        "agents",
        "run",
        "router",
        "--tasks",
        asked,
        "--base-url",
        model.url,
        "--run",
        run,
        "--baseline",
        "single",
        "--profile",
        "multi-agent",
        "--json",
    )
    values = printed(out)
    assert (code, values["solved"], values["asked"]) == (0, 2, 2)
    assert values["agents"]["zh-calculator"] == {"calls": 4, "failed": 0, "tokens_in": 40, "tokens_out": 8}
    assert (values["baseline"]["solved"], values["baseline"]["asked"]) == (0, 2)
    log = read_log(run / "log")
    assert log.of(RunBegin)[0].profile == "multi-agent"
    beside = [event for event in log.of(Workflow) if event.baseline]
    assert {(event.system, event.answer, event.truth, event.grader) for event in beside} == {
        ("single", "大概是一千", "233910", "exact")
    }
    assert len(log.of(Score)) == len(beside) == 2
    [other] = read_log(run / "baseline" / "log").of(RunBegin)
    assert other.config["tokens"] == 36  # three calls of twelve


def test_a_baseline_runs_in_our_environment_not_in_the_system_s(
    tmp_path: Path, model: Model, shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("pydantic_ai", "openai"):
        (theirs / f"{name}.py").write_text("raise ImportError('of another environment')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(theirs), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.chdir(theirs)
    run, asked = tmp_path / "run", suite(tmp_path, PRODUCTS)
    options = ["--tasks", asked, "--base-url", model.url, "--run", run, "--baseline", "single", "--json"]
    code, out, _ = shosei("agents", "run", *options, "--", *asking_command("print(said)"))
    assert code == 0
    assert (printed(out)["failed"], printed(out)["baseline"]["failed"]) == ({}, {})


def test_a_single_agent_is_asked_in_the_task_s_own_turns(tmp_path: Path, shosei: Shosei) -> None:
    server, [task] = Model(lambda _body: "Nara"), tasks(["?"])
    task.messages = [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "My city is Nara."},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": "Which is it?"},
    ]
    file = tmp_path / "turns.jsonl"
    write_suite(file, [task])
    code, _, said = shosei(
        "agents", "run", "single", "--tasks", file, "--base-url", server.url, "--run", tmp_path / "run"
    )
    server.stop()
    assert code == 0, said
    assert [body["messages"] for body in server.bodies] == [task.messages]


def test_what_was_recorded_is_measured_again_without_a_server(tmp_path: Path, shosei: Shosei) -> None:
    server, tape, asked = Model(arithmetic), tmp_path / "tape", suite(tmp_path, PRODUCTS, "233910")
    options = ["--tasks", asked, "--baseline", "single", "--json", "router"]
    first = ["--run", tmp_path / "first", "--base-url", server.url, "--record", tape, "--keep-bodies"]
    second = ["--run", tmp_path / "second", "--replay", tape]
    code, out, _ = shosei("agents", "run", *first, *options)
    server.stop()
    recorded = printed(out)
    assert (code, recorded["solved"], recorded["baseline"]["solved"]) == (0, 2, 0)
    code, out, _ = shosei("agents", "run", *second, *options)
    replayed = printed(out)
    assert code == 0
    same = ("solved", "failed", "agents")
    assert [replayed[key] for key in same] == [recorded[key] for key in same]
    assert [replayed["baseline"][key] for key in same] == [recorded["baseline"][key] for key in same]
    assert [path for path in (tmp_path / "first").rglob("bodies/*") if "345*678" in path.read_text()]


def test_what_is_no_recording_is_said(tmp_path: Path, model: Model, shosei: Shosei) -> None:
    asked = suite(tmp_path, PRODUCTS)
    run = ["--tasks", asked, "--run", tmp_path / "run"]
    for words, expected in (
        ([], "--base-url URL: name the server"),
        (["--replay", tmp_path], "is no recording of 'shosei agents run --record'"),
        (["--replay", tmp_path, "--record", tmp_path], "not both"),
        (["--replay", tmp_path, "--model", "nano"], "holds no recording"),
        (["--record", asked, "--base-url", model.url], "is a file: name a folder"),
    ):
        code, _, said = shosei("agents", "run", *run, *words, "router")
        assert (code, expected in said) == (2, True), said


def test_what_cannot_be_measured_is_bad_input(tmp_path: Path, model: Model, shosei: Shosei) -> None:
    asked = suite(tmp_path, PRODUCTS)
    options = ["--tasks", asked, "--base-url", model.url, "--run", tmp_path / "run"]
    for words, expected in (
        (["routr"], "did you mean 'router'?"),
        (["os:nothing"], "cannot load os:nothing"),
        (["--inject", "429=2", "single"], "a share is from 0 to 1"),
        (["--calls", "0", "single"], "agents.calls"),
    ):
        code, _, said = shosei("agents", "run", *options, *words)
        assert code == 2
        assert expected in said
    assert not (tmp_path / "run" / "log").exists()


def test_where_no_task_comes_to_an_answer_the_measurement_is_invalid(
    tmp_path: Path, model: Model, shosei: Shosei
) -> None:
    asked = suite(tmp_path, PRODUCTS)
    code, out, _ = shosei(
        "agents",
        "run",
        "--tasks",
        asked,
        "--base-url",
        model.url,
        "--run",
        tmp_path / "run",
        "--",
        *command("print(42)"),
    )
    assert code == 5
    assert "0/2 solved, 2 unused endpoint" in out


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_an_interrupted_run_keeps_what_ended_and_goes_on(tmp_path: Path, signum: int, code: int) -> None:
    server = Model(lambda _body: "42")
    run, asked = tmp_path / "run", suite(tmp_path, [f"问{number}" for number in range(4)])
    argv = [
        sys.executable,
        "-m",
        "shosei",
        "agents",
        "run",
        "agents_systems:waits",
        "--tasks",
        str(asked),
        "--base-url",
        server.url,
        "--run",
        str(run),
    ]
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    with subprocess.Popen(argv, env=environment) as first:
        assert eventually(lambda: _ended(run) == 2)
        first.send_signal(signum)
        assert first.wait() == code
    assert [end.exit_code for end in read_log(run / "log").of(RunEnd)] == ([] if signum == signal.SIGKILL else [code])
    again = subprocess.run(argv, env={**environment, "WAITS": "0"}, capture_output=True, text=True)
    server.stop()
    assert (again.returncode, "2 tasks are kept" in again.stderr) == (0, True)
    log = read_log(run / "log")
    assert sorted(event.item for event in log.of(Workflow)) == ["0", "1", "2", "3"]
    assert {event.attempt for event in log.of(Workflow)} == {1}
    asked_first = [body for body in server.bodies if body["messages"][0]["content"] in ("问0", "问1")]
    assert len(asked_first) == 2
    assert log.of(RunEnd)[-1].exit_code == 0


def _ended(run: Path) -> int:
    """Tasks whose end is in the log; none before the log has its first event."""
    with suppress(InputError):
        return len(read_log(run / "log").of(Workflow))
    return 0


def test_a_command_finds_its_settings_and_the_log_knows_which_they_were(
    tmp_path: Path, shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOSEI_SETTINGS", str(tmp_path))  # of whoever calls us: not the system's
    server, settings = Model(lambda _body: "42"), tmp_path / "mine"
    settings.mkdir()
    (settings / "style.txt").write_text("大阪弁で", encoding="utf-8")
    given = ["--tasks", suite(tmp_path, ["?"], "大阪弁で"), "--base-url", server.url, "--json"]
    reading = 'place = os.environ["SHOSEI_SETTINGS"]; print(open(place + "/style.txt").read() if place else "none")'
    runs = [tmp_path / "with", tmp_path / "without"]
    told, untold = (
        shosei("agents", "run", *given, "--run", run, *options, "--", *asking_command(reading))
        for run, options in zip(runs, (["--settings", settings], []), strict=True)
    )
    server.stop()
    assert (told[0], untold[0]) == (0, 0)
    assert [score.answer.strip() for run in runs for score in read_log(run / "log").of(Score)] == ["大阪弁で", "none"]
    with_them, without = (read_log(run / "log").of(RunBegin)[0].hashes for run in runs)
    assert with_them["settings/style"] == sha256("大阪弁で".encode()).hexdigest()
    assert with_them.keys() - without.keys() == {"settings/style"}


def test_a_folder_without_settings_is_said_so(tmp_path: Path, model: Model, shosei: Shosei) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    given = ["--tasks", suite(tmp_path, ["?"]), "--base-url", model.url, "--run", tmp_path / "run"]
    code, _, said = shosei("agents", "run", "single", *given, "--settings", empty)
    assert code == 2
    assert f"{empty}: this folder has no settings" in said
