"""``shosei tune serve``, as a user calls it with what cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from shosei.log import Run
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
