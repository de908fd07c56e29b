"""What a trial of ``shosei tune train`` trains, and what it takes for its value."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from shosei.card.words import translated
from shosei.errors import InputError
from shosei.files import remove
from shosei.log import HeldOut, Log, Run, RunBegin, Score, Step, read_log
from shosei.spec.shape import write_shape
from shosei.train import TrainConfig
from shosei.tune.target import Target, read_target
from shosei.tune.train import TrainSubject
from text_samples import sentences, text_run
from train_samples import TINY, make_run
from tune_targets import target, trial
from verb import Shosei

SPACE = {"matrix_lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True, "default": 0.02}}
DEFAULT = {"matrix_lr": 0.02}
SMALL = {"batch_tokens": 192, "sequence": 48, "dtype": "float32", "threads": 1}
BITS = {"figure": "training_speed.bits_per_character", "phase": "training", "direction": "lower"}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of text, and tiny shapes."""
    folder = tmp_path_factory.mktemp("text")
    text_run(folder / "run", sentences(60)).log.mkdir()
    write_shape(TINY, folder / "tiny.toml")
    return folder


def of_text(folder: Path, steps: int = 9, **more: Any) -> Target:
    settings = SMALL | {"preset": str(folder / "tiny.toml")}
    train = {"run": "run", "steps": steps, "settings": settings, **more}
    return target(folder, "train", objective=BITS, space=SPACE, train=train)


def log_of(folder: Path) -> Log:
    return read_log(Run(folder).log)


def test_the_rungs_and_full_size_are_trainings_of_three_times_the_steps(text: Path, tmp_path: Path) -> None:
    subject = TrainSubject(of_text(text), None)
    trials = {
        "first": trial(tmp_path / "first", {"matrix_lr": 0.01}, seed=7),
        "second": trial(tmp_path / "second", {"matrix_lr": 0.01}, rung=1, seed=7),
        "full": trial(tmp_path / "full", {"matrix_lr": 0.01}, "confirm", round=1, seed=8),
    }
    results = {name: subject.measure(*each) for name, each in trials.items()}
    for name, steps, seed in (("first", 1, 7), ("second", 3, 7), ("full", 9, 8)):
        log = log_of(trials[name][1])
        assert len(log.of(Step)) == steps
        [begin] = log.of(RunBegin)
        assert (begin.config["matrix_lr"], begin.config["seed"]) == (0.01, seed)
        last = log.of(HeldOut)[-1]
        assert last.nats is not None
        assert results[name].value == pytest.approx(last.nats / math.log(2) / last.characters, abs=1e-5)
    assert subject.rungs == 2
    assert [subject.cost("search", rung) for rung in (0, 1)] == pytest.approx([1 / 9, 1 / 3])
    assert subject.cost("confirm", 0) == 1


def test_a_model_is_not_kept_and_data_are_not_copied(text: Path, tmp_path: Path) -> None:
    TrainSubject(of_text(text), None).measure(*trial(tmp_path / "run", DEFAULT))
    assert not (tmp_path / "run" / "model").exists()
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert (tmp_path / "run" / "data").is_symlink()
    assert not (text / "run" / "model").exists()
    remove(tmp_path / "run")  # as a trial that was broken off is, before it is measured again
    assert any((text / "run" / "data").iterdir())


def test_the_search_may_be_of_a_narrower_model(text: Path, tmp_path: Path) -> None:
    narrow = {"proxy": {"preset": "narrow.toml"}}  # beside the target
    (text / "narrow.toml").write_text((text / "tiny.toml").read_text().replace("d_model = 32", "d_model = 16"))
    subject = TrainSubject(of_text(text, **narrow), None)
    subject.measure(*trial(tmp_path / "search", DEFAULT))
    subject.measure(*trial(tmp_path / "confirm", DEFAULT, "confirm", round=1))
    widths = [log_of(tmp_path / name).of(RunBegin)[0].model["d_model"] for name in ("search", "confirm")]
    assert widths == [16, 32]
    assert 0.3 / 9 < subject.cost("search", 0) < 0.8 / 9


def test_a_candidate_that_diverges_is_a_result(text: Path, tmp_path: Path) -> None:
    subject = TrainSubject(of_text(text), None)
    result = subject.measure(*trial(tmp_path / "run", {"matrix_lr": -1.0}))
    assert result.value is None
    assert "train.matrix_lr" in translated(result.reason)


def test_defaults_that_are_refused_end_the_search(text: Path, tmp_path: Path) -> None:
    space = {"momentun": {"type": "float", "low": 0, "high": 1, "default": 0.5}}
    wrong = target(text, "train", objective=BITS, space=space, train={"run": "run", "steps": 1, "settings": SMALL})
    with pytest.raises(InputError, match=r"unknown key 'train.momentun'; did you mean 'momentum'\?"):
        TrainSubject(wrong, None).measure(*trial(tmp_path / "run", {"momentun": 0.5}))


def test_questions_for_validation_are_one_share_and_never_a_test_suite(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.log.mkdir()
    run.suites.mkdir()
    (run.suites / "next.jsonl").write_text("no suite at all")
    write_shape(TINY, tmp_path / "tiny.toml")
    asked = target(
        tmp_path,
        "train",
        objective={"figure": "pass_at_1", "phase": "training"},
        space=SPACE,
        train={
            "run": "run",
            "steps": 60,
            "settings": SMALL | {"preset": str(tmp_path / "tiny.toml"), "table_lr": 0.02},
        },
    )
    result = TrainSubject(asked, None).measure(*trial(tmp_path / "trial", DEFAULT, "confirm", round=1))
    log = log_of(tmp_path / "trial")
    last = max(score.epoch for score in log.of(Score))
    right = [score.answer == score.truth for score in log.of(Score) if score.epoch == last]
    assert result.value == pytest.approx(sum(right) / 6)
    assert len(right) == 6
    assert not result.units, "six answers of one training are no six trainings"


def test_what_is_better_must_be_said_where_the_metric_does_not(text: Path, tmp_path: Path) -> None:
    silent = {
        "figure": "training_speed.tokens_per_s",
        "phase": "training",
    }  # of the metric itself, seconds, less is better
    wrong = target(
        text,
        "train",
        objective=silent,
        space=SPACE,
        train={"run": "run", "steps": 3, "settings": SMALL | {"preset": str(text / "tiny.toml")}},
    )
    with pytest.raises(InputError, match=r"of training_speed\.tokens_per_s, higher is better: say so"):
        TrainSubject(wrong, None).measure(*trial(tmp_path / "run", DEFAULT))


def test_a_figure_that_is_a_share_after_all_is_told_of(text: Path) -> None:
    objective = of_text(text).objective
    objective.check("bits/character", "lower")
    with pytest.raises(InputError, match=r"training_speed\.bits_per_character is a share: say relative = false"):
        objective.check("", "lower")


def test_what_a_trial_decides_is_no_setting(text: Path) -> None:
    with pytest.raises(InputError, match="'max_steps' is no setting of a target"):
        TrainSubject(of_text(text, settings={"max_steps": 4}), None)


def test_a_run_without_data_is_said_so(text: Path) -> None:
    (text / "empty" / "log").mkdir(parents=True, exist_ok=True)
    with pytest.raises(InputError, match="has no data: make it with 'shosei data --run"):
        TrainSubject(of_text(text, run="empty"), None)


def test_the_best_settings_train_as_they_are(text: Path, tmp_path: Path, shosei: Shosei) -> None:
    [line] = TrainSubject(of_text(text, steps=2), None).usable({"matrix_lr": 0.003}, tmp_path)
    assert tomllib.loads((tmp_path / "best.toml").read_text())["train"]["max_steps"] == 2
    program, *arguments = line.split()
    assert program == "shosei"
    code, out, _ = shosei(*arguments, "--json")
    assert (code, json.loads(out)["steps"]) == (0, 2)
    [begin] = log_of(text / "run").of(RunBegin)[-1:]
    assert begin.config["matrix_lr"] == 0.003


def test_the_shipped_target_has_the_trainer_s_own_defaults() -> None:
    shipped, own = read_target("train", "train"), TrainConfig()
    assert {name: setting.default for name, setting in shipped.space.items()} == {
        name: getattr(own, name) for name in shipped.space
    }
    assert shipped.objective.better == "lower"
