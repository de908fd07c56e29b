"""A search over servers that is killed, interrupted or out of disk: nothing stays, and it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from progress_display import but_progress
from shosei.log import Log, Run, TuneBegin, TuneTrial, TuneTrialBegin, TuneVerdict, attempts, read_log
from supervised import eventually, linux
from tune_functions import Function
from tune_servers import COMMAND, LOAD, WEIGHTS, nothing_runs
from verb import Shosei

# A search over a function, whose log cannot grow beyond a size: only the log is full, not what trials would write.
_FULL = """
import resource, sys
from shosei.cli import tune
from shosei.cli.main import main
from tune_functions import Function
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
tune._subject = lambda target, profile: Function(lambda trial: 10.0 + (trial.candidate["weights"] == "int4"))
main(sys.argv[1:])
"""


@pytest.fixture
def command(tmp_path: Path) -> Iterator[list[str]]:
    """That of a search on the mock server, in ``tmp_path / "out"``."""
    tables = {
        "objective": {"figure": "inference_speed.tokens_per_s"},
        "space": {"weights": WEIGHTS},
        "serve": {
            "command": [*COMMAND, "--setting", f"{tmp_path}={{weights}}"],
            "load": LOAD | {"seconds": 0.5, "warmup_s": 0.1},
        },
    }
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(tables))
    words = ["tune", "serve", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "out"), "--budget", "15trials"]
    yield words
    assert eventually(lambda: nothing_runs(str(tmp_path)), 20)


def log_of(folder: Path) -> Log:
    run = Run(folder / "out")
    return read_log(run.log) if run.log.is_dir() and attempts(run.log) else Log(1)


def begun(folder: Path) -> list[int]:
    return [event.number for event in log_of(folder).of(TuneTrialBegin)]


@linux
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_search_that_ends_in_the_middle_of_a_trial_leaves_nothing_running_and_goes_on(
    tmp_path: Path, command: list[str], signum: int
) -> None:
    tuner = subprocess.Popen([sys.executable, "-m", "shosei", *command], stderr=subprocess.PIPE)
    try:
        assert eventually(lambda: 2 in begun(tmp_path) and not nothing_runs("tune_server", str(tmp_path)), 120)
        os.kill(tuner.pid, signum)
        _, said = tuner.communicate(timeout=60)
    finally:
        tuner.kill()
    assert tuner.returncode == (-signum if signum == signal.SIGKILL else 128 + signum)
    assert b"Traceback" not in said
    assert eventually(lambda: nothing_runs(str(tmp_path)), 20)
    ended = {event.number for event in log_of(tmp_path).of(TuneTrial)}
    half = set(begun(tmp_path)) - ended
    assert len(half) == 1

    tuner = subprocess.Popen([sys.executable, "-m", "shosei", *command], stderr=subprocess.PIPE)
    try:
        assert eventually(lambda: len(log_of(tmp_path).of(TuneTrial)) >= len(ended) + 2, 120)
    finally:
        tuner.kill()
        tuner.communicate()
    numbers = [event.number for event in log_of(tmp_path).of(TuneTrial)]
    assert numbers == list(range(1, len(numbers) + 1))
    again = Counter(begun(tmp_path)[: len(numbers) + 1])
    assert {number for number, count in again.items() if count > 1} == half


@linux
def test_a_full_disk_ends_it_in_a_line_and_the_same_command_goes_on(tmp_path: Path, command: list[str]) -> None:
    support = Path(__file__).parents[1] / "support"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(support)])}

    def run(size: int) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", _FULL.format(size=size), *command]
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)

    full = run(9000)
    assert full.returncode == 2, full.stderr
    *_, line = but_progress(full.stderr)
    assert line.startswith(f"shosei: no space left on device: {tmp_path / 'out'}")
    assert "Traceback" not in full.stderr
    before = {event.number for event in log_of(tmp_path).of(TuneTrial)}
    assert 0 < len(before) < 15

    whole = run(10**8)
    log = log_of(tmp_path)
    numbers = [event.number for event in log.of(TuneTrial)]
    assert whole.returncode == 0, whole.stderr
    assert sorted(numbers) == list(range(1, max(numbers) + 1))  # each once, and none is missing
    assert [event.verdict for event in log.of(TuneVerdict)] == ["gain"]
    assert "Keep your defaults" not in whole.stdout
    assert (tmp_path / "out" / "tune.html").is_file()
    third = run(10**8)  # it is over: told again, and nothing measured
    assert third.stdout == whole.stdout
    assert len(log_of(tmp_path).of(TuneTrial)) == len(numbers)


def test_a_search_that_ended_before_it_said_anything_begins(tmp_path: Path, command: list[str], shosei: Shosei) -> None:
    with Run(tmp_path / "out").recording("tune"):
        pass
    code, _, said = shosei(*command[:-1], "12trials")
    assert (code, len(begun(tmp_path))) == (4, 0), said
    assert [event.budget for event in log_of(tmp_path).of(TuneBegin)] == ["12trials"]
    code, _, said = shosei(*command, "--seed", "1")
    assert (code, said.splitlines()[-1]) == (
        2,
        f"shosei: {tmp_path / 'out'} holds another search, or this one with another target, profile or seed: "
        "name a new folder with --out",
    )


def test_a_budget_can_become_larger_until_its_confirmation_has_begun(
    tmp_path: Path, command: list[str], shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = Function(lambda trial: 10.0 + 5 * (trial.candidate["weights"] == "int4"))
    monkeypatch.setattr("shosei.cli.tune._subject", lambda target, profile: function)
    words, folder = command[:-1], tmp_path / "out"
    assert shosei(*words, "12trials")[0] == 4
    code, out, _ = shosei(*words, "16trials")
    assert (code, "int4 is better than the defaults" in out) == (0, True)
    log, again = log_of(tmp_path), shosei(*words, "16trials")
    assert (again[1], log_of(tmp_path).of(TuneVerdict)) == (out, log.of(TuneVerdict))
    assert [event.budget for event in log.of(TuneBegin)] == ["12trials", "16trials"]
    for budget, why in {
        "17trials": f"{folder}: the confirmation has begun, whose rounds were settled by --budget 16trials",
        "15trials": f"{folder} holds this search with --budget 16trials, which can only become larger",
        "1h": f"{folder} holds this search with --budget 16trials, which can only become larger",
    }.items():
        code, _, said = shosei(*words, budget)
        assert (code, said.splitlines()[-1].startswith(f"shosei: {why}")) == (2, True), said
