"""``shosei tune agent``, as a user calls it."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from agents_model import Model
from agents_runs import HERE, suite
from shosei.log import Request, Run, TuneBegin, TuneTrial, read_log
from verb import Shosei

BETTER = "0.95 of\x1b[2J {the} tasks\n"  # it would clear a terminal, and fill a template


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    server = Model(lambda _body: "?")
    yield server.url
    server.stop()


@pytest.fixture
def target(tmp_path: Path, url: str) -> Path:
    suite(tmp_path, [str(number) for number in range(90)])
    (tmp_path / "prompts").mkdir()
    for name, text in (("now", "0.4 of the tasks"), ("other", "0.4 of all tasks")):
        (tmp_path / "prompts" / f"{name}.txt").write_text(f"{text}\n")
    tables = {
        "objective": {"figure": "pass_at_1"},
        "space": {
            "style": {"type": "file", "default": "prompts/now.txt", "choices": ["prompts/now.txt", "prompts/other.txt"]}
        },
        "agent": {"system": "tuned_system:system", "tasks": ["tasks.jsonl"], "url": url, "rungs": 1, "rounds": 1},
    }
    file = tmp_path / "mine.toml"
    file.write_text(tomli_w.dumps(tables))
    return file


def test_a_text_that_a_model_proposes_is_found_confirmed_and_usable(
    tmp_path: Path, target: Path, shosei: Shosei
) -> None:
    answers, out = ["0.4 of the tasks", BETTER, ""], tmp_path / "tuned"
    proposer = Model(lambda _body: answers.pop(0))
    options = [str(target), "--out", str(out), "--budget", "24trials", "--json"]
    code, printed, said = shosei("tune", "agent", *options, "--propose", proposer.url)
    proposer.stop()
    assert code == 0, said
    assert json.loads(printed)["verdict"] == "gain"
    assert said.count("no proposal: style: ") == 2
    assert "\x1b" not in said
    settings = out / "settings"
    assert (settings / "style.txt").read_bytes().decode() == BETTER.strip()
    assert Path(tomllib.loads((out / "best.toml").read_text())["agents"]["settings"]) == settings

    trials = read_log(Run(out).log).of(TuneTrial)
    tasks = {stage: _called(out, trials, stage) for stage in ("search", "confirm")}
    assert not tasks["search"] & tasks["confirm"]
    assert not _tasks(out / "proposals" / "as_it_is") & tasks["confirm"]

    code, again, _ = shosei("tune", "agent", *options, "--propose", "http://127.0.0.1:9")
    assert (code, again) == (0, printed), "what is over is told again, and nobody is asked"
    assert len(read_log(Run(out).log).of(TuneTrial)) == len(trials)


def _called(out: Path, trials: list[TuneTrial], stage: str) -> set[str]:
    return set.union(*(_tasks(out / trial.folder) for trial in trials if trial.stage == stage))


def _tasks(folder: Path) -> set[str]:
    """Whose calls a gateway saw."""
    return {request.task.split("#")[0] for request in read_log(Run(folder).log).of(Request)}


def test_a_file_that_changes_is_another_search(tmp_path: Path, target: Path, shosei: Shosei) -> None:
    out = tmp_path / "tuned"
    options = ["tune", "agent", str(target), "--out", str(out), "--budget", "9trials"]
    code, _, said = shosei(*options)
    assert code in (0, 4), said
    [begin] = read_log(Run(out).log).of(TuneBegin)
    assert begin.default == {"style": "0.4 of the tasks\n"}
    (tmp_path / "prompts" / "now.txt").write_text("0.5 of the tasks")
    code, _, said = shosei(*options)
    assert code == 2
    assert "holds another search" in said


def test_where_nothing_may_change_there_is_no_search(tmp_path: Path, target: Path, shosei: Shosei) -> None:
    alone = ["--set", "space.style.type='text'", "--set", "space.style.choices=['prompts/now.txt']"]
    code, _, said = shosei("tune", "agent", target, "--out", tmp_path / "out", *alone)
    assert code == 2
    assert "each setting of its space has one choice alone" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "words"), [("train", "--propose is for the texts of an agent system"), ("serve", "is a target of")]
)
def test_proposals_are_of_agents(tmp_path: Path, target: Path, shosei: Shosei, kind: str, words: str) -> None:
    if kind == "train":
        (tmp_path / "run" / "log").mkdir(parents=True)
        for name in ("data", "tokenizer"):
            (tmp_path / "run" / name).mkdir()
        space = {"decay": {"type": "float", "low": 0, "high": 1, "default": 0.5}}
        tables = {"objective": {"figure": "pass_at_1", "phase": "training"}, "space": space}
        target.write_text(tomli_w.dumps(tables | {"train": {"run": "run", "steps": 1}}))
    code, _, said = shosei("tune", kind, target, "--out", tmp_path / "out", "--propose", "http://127.0.0.1:9")
    assert code == 2
    assert words in said
