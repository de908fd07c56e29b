"""``shosei tune serve``, as a user calls it with what cannot work."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from shosei.cli import tune
from shosei.log import Run, TuneTrialBegin
from shosei.tune.trial import TrialResult
from tune_functions import Function
from tune_servers import COMMAND, WEIGHTS
from verb import Shosei


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    tables: dict[str, Any] = {
        "objective": {"figure": "inference_speed.tokens_per_s"},
        "space": {"weights": WEIGHTS},
        "serve": {"command": [*COMMAND, "--setting", "x={weights}"]},
    }
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(tables))
    return ["tune", "serve", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "out")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "serve.command=['x', '{port}']"], "{target}: space.weights changes nothing: write {{weights}} into"),
        (["--set", "serve.load.rat=3"], "{target}: unknown key 'serve.load.rat'; did you mean 'rate'"),
        (["--storage", "foo"], "--storage: Optuna cannot use it: Could not parse"),
        (["--storage", "redis://host"], "--storage: Optuna cannot use it: Can't load plugin"),
        (["--storage", "sqlite:////no/such/folder/a.db"], "--storage: Optuna cannot use it: "),
        (["--propose", "http://host"], "--propose is for the texts of an agent system"),
        (["--budget", "30"], "--budget 30: write it as 60trials"),
        (["--seed", "4294967296"], "Invalid value for '--seed'"),  # NumPy takes no larger one
        (["--set", "serve.load.suite=5"], "{target}: serve.load.suite: Input is not a valid path"),
    ],
)
def test_what_cannot_work_is_told_in_a_line_before_anything_is_made(
    tmp_path: Path, command: list[str], shosei: Shosei, options: list[str], said: str
) -> None:
    code, _, told = shosei(*command, *options)
    [line] = told.splitlines()
    assert code == 2
    assert line.startswith(f"shosei: {said.format(target=tmp_path / 'mine.toml')}")
    assert not (tmp_path / "out").exists()


def test_a_second_search_in_a_folder_is_told_to_name_another(
    tmp_path: Path, command: list[str], shosei: Shosei
) -> None:
    with Run(tmp_path / "out").alone("tune"):
        code, _, told = shosei(*command)
    line = f"shosei: another 'shosei tune' is at work in {tmp_path / 'out'}: let it end, or name another folder"
    assert (code, told.splitlines()) == (2, [line])


@pytest.mark.parametrize(
    ("language", "trials"),
    [
        (
            "en",
            [r"1 search, rung 1 · defaults: 7\.00.requests/s", r"search, .* · weights = int4: failed; out of memory"],
        ),
        ("zh-CN", [r"1 搜索，第 1 级 · 默认设置: 7\.00", r"搜索，.* · weights = int4: 失败；out of memory"]),
        ("ja", [r"1 探索、第 1 段 · 既定値: 7\.00", r"探索、.* · weights = int4: 失敗、out of memory"]),
    ],
)
def test_what_each_trial_came_to_is_said_in_the_readers_language(
    tmp_path: Path,
    command: list[str],
    shosei: Shosei,
    monkeypatch: pytest.MonkeyPatch,
    language: str,
    trials: list[str],
) -> None:
    def measured(trial: TuneTrialBegin) -> TrialResult:
        is_default, no = trial.candidate["weights"] == "bf16", TrialResult(None, reason="out of memory", seconds=1.0)
        return TrialResult(7.0, unit="requests/s", seconds=1.0) if is_default else no

    monkeypatch.setattr(tune, "_subject", lambda target, profile: Function(measured))
    code, _, told = shosei(*command, "--budget", "16trials", "--lang", language)
    assert code in (0, 4)
    for line in trials:
        assert re.search(line, told), told
    assert told.splitlines()[-1].endswith(str(tmp_path / "out" / "tune.html"))
    assert ("The whole report: " in told) == (language == "en")


def test_the_smallest_budget_that_would_do_is_in_the_json(tmp_path: Path, command: list[str], shosei: Shosei) -> None:
    code, printed, _ = shosei(*command, "--budget", "12trials", "--json")
    said = json.loads(printed)
    assert (code, said["verdict"], said["reason"], said["least_budget"]) == (4, "insufficient", "budget", "13trials")
