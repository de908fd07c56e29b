"""A whole training: what it learns, what it leaves in the log and the folder, and that it can be repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from shosei.cli.main import main
from shosei.engine.engine import answer_greedily
from shosei.files import sha256
from shosei.log import Epoch, Log, Restart, Run, RunBegin, RunEnd, Score, Section, Step, read_log
from shosei.metrics.cells import compute
from shosei.metrics.observed.wall_time import wall_time
from shosei.model import folder
from shosei.text import Tokenizer, load_chat
from shosei.train import trainer
from shosei.train.checkpoint import checkpoints, read_manifest
from shosei.train.trainer import Trained
from shosei.wire.suite import read_suite
from train_samples import FAST, make_run, run_training, train_killed_once

STEPS_AN_EPOCH = 15  # 30 pairs, 8 times, in batches of 16


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Trained, Log]:
    run = make_run(tmp_path_factory.mktemp("finished"))
    return run, *run_training(run, FAST.model_copy(update={"checkpoint_steps": 10}))


def test_the_loss_falls_and_held_out_questions_are_answered(finished: tuple[Run, Trained, Log]) -> None:
    _, _, log = finished
    losses = [step.loss for step in log.of(Step)]
    assert sum(losses[-10:]) < 0.1 * sum(losses[:10])
    last = [score for score in log.of(Score) if score.epoch == FAST.epochs]
    assert [score.answer for score in last] == [score.truth for score in last]


def test_every_epoch_is_scored_on_the_whole_validation_set(finished: tuple[Run, Trained, Log]) -> None:
    run, _, log = finished
    ids = [task.id for task in read_suite(run.data / "validation.jsonl")]
    for epoch in range(1, FAST.epochs + 1):
        scores = [score for score in log.of(Score, "training") if score.epoch == epoch]
        assert [score.item for score in scores] == ids
        assert len({score.identity for score in scores}) == 1
        assert all(score.identity and len(score.question) == 2 for score in scores)


def test_steps_and_epochs_account_for_every_example(finished: tuple[Run, Trained, Log]) -> None:
    _, trained, log = finished
    steps, epochs = log.of(Step, "training"), log.of(Epoch, "training")
    assert trained.steps == len(steps) == FAST.epochs * STEPS_AN_EPOCH
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.finite and step.duration_ns >= step.data_wait_ns >= 0 and step.grad_norm > 0 for step in steps)
    for epoch in {epoch.index: epoch for epoch in epochs}.values():
        own = [step for step in steps if step.epoch == epoch.index]
        assert (epoch.steps, epoch.samples, epoch.fraction) == (STEPS_AN_EPOCH, 240, 1.0)
        assert epoch.tokens == sum(step.tokens for step in own)
        assert sum(step.duration_ns for step in own) <= epoch.end_ns - epoch.begin_ns
    sections = [section.name for section in log.of(Section)]
    assert sections.count("evaluation") == FAST.epochs
    assert sections[0] == "load"
    # Told at each checkpoint, so that what is killed in its first epoch has a speed.
    assert [(epoch.index, epoch.steps) for epoch in epochs[:2]] == [(1, 10), (1, STEPS_AN_EPOCH)]


def test_the_log_knows_what_was_trained_on_what(finished: tuple[Run, Trained, Log]) -> None:
    run, trained, log = finished
    [begin], [end] = log.of(RunBegin), log.of(RunEnd)
    assert begin.hashes["data"] == sha256(run.data / "train.jsonl")
    assert begin.hashes["tokenizer"] == sha256(run.tokenizer / "tokenizer.json")
    assert begin.model["vocab_size"] == Tokenizer.load(run.tokenizer).vocab_size
    assert begin.seeds == {"train": FAST.seed}
    assert end.hashes == {"model.safetensors": sha256(run.model / "model.safetensors")}
    assert end.hashes == {"model.safetensors": trained.sha256}


def test_the_share_of_the_peak_follows_from_the_log(finished: tuple[Run, Trained, Log]) -> None:
    _, _, log = finished
    metric = next(metric for metric in compute(log) if (metric.id, metric.phase) == ("gpu_utilization", "training"))
    speed, peak, share = (row[1] for row in metric.breakdown[-1].rows)
    assert isinstance(share, float)
    assert 0 < share < 1
    assert share == pytest.approx(float(str(speed)) / float(str(peak)))


def test_the_exported_folder_answers_as_the_trained_model_did(finished: tuple[Run, Trained, Log]) -> None:
    run, _, log = finished
    model, spec = folder.load(run.model)
    assert sum(parameter.numel() for parameter in model.parameters()) == log.of(RunBegin)[0].model["params"]
    chat = load_chat(run.model)
    tasks = read_suite(run.data / "validation.jsonl")
    prompts = [chat.render(task.messages) for task in tasks]
    answers = answer_greedily(model, spec, prompts, [task.max_tokens for task in tasks], [chat.tokenizer.end_id])
    last = [score.answer for score in log.of(Score) if score.epoch == FAST.epochs]
    assert [chat.tokenizer.decode(ids) for ids in answers] == last


def test_the_newest_checkpoints_are_kept(finished: tuple[Run, Trained, Log]) -> None:
    run, trained, _ = finished
    assert [read_manifest(path).position.step for path in checkpoints(run.checkpoints)] == [80, trained.steps]


def test_the_same_seed_gives_the_same_loss_curve_and_weights(tmp_path: Path) -> None:
    config = FAST.model_copy(update={"epochs": 2, "dtype": "bfloat16"})
    runs = [run_training(make_run(tmp_path / name), config) for name in ("first", "second")]
    other, _ = run_training(make_run(tmp_path / "other"), config.model_copy(update={"seed": 2}))
    curves = [[(step.loss, step.grad_norm) for step in log.of(Step)] for _, log in runs]
    assert curves[0] == curves[1]
    assert runs[0][0].sha256 == runs[1][0].sha256 != other.sha256


def test_a_killed_training_goes_on_where_it_was_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = FAST.model_copy(update={"epochs": 3, "checkpoint_steps": 10})
    whole, _ = run_training(make_run(tmp_path / "whole"), config)
    run = make_run(tmp_path / "killed")
    assert train_killed_once(run, config, 2, monkeypatch) == 0
    log = read_log(run.log)
    assert [event.failure for event in log.of(Restart)] == [0, 1]
    assert sha256(run.model / folder.WEIGHTS) == whole.sha256
    assert [step.step for step in log.of(Step)] == list(range(1, whole.steps + 1))
    assert sorted({score.epoch for score in log.of(Score)}) == [1, 2, 3]

    wall = wall_time(log)
    assert sum(wall.parts_ns.values()) == wall.total_ns
    assert all(wall.parts_ns[part] > 0 for part in ("compute", "checkpoint", "warm_up", "recovery", "lost_work"))


def test_a_new_attempt_begins_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    curves = [
        [step.loss for step in run_training(run, FAST.model_copy(update={"epochs": 1}))[1].of(Step)] for _ in "12"
    ]
    assert curves[0] == curves[1]


def test_a_step_that_is_not_finite_is_skipped_and_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[torch.Tensor] = []

    def loss_with_an_accident(model: torch.nn.Module, *arguments: object) -> torch.Tensor:
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
        loss = original(model, *arguments)
        return loss * float("nan") if len(weights) == 3 else loss

    original = trainer.answer_loss
    monkeypatch.setattr(trainer, "answer_loss", loss_with_an_accident)
    trained, log = run_training(make_run(tmp_path), FAST.model_copy(update={"epochs": 1}))
    third = log.of(Step)[2]
    assert (third.finite, third.skipped, third.loss, third.grad_norm) == (False, True, None, None)
    assert trained.skipped == sum(step.skipped for step in log.of(Step)) == 1
    assert torch.equal(weights[2], weights[3])
    assert not torch.equal(weights[3], weights[4])


@pytest.mark.parametrize(
    ("missing", "arguments", "words"),
    [
        ("data/train.jsonl", [], "'shosei data"),
        ("data/validation.jsonl", [], "'shosei data"),
        ("tokenizer/tokenizer.json", [], "'shosei tokenizer"),
        ("", ["--preset", "nanoo"], "did you mean 'nano'?"),
        ("", ["--preset", "ja-small"], "32000 rows"),
        ("", ["--set", "train.epoch=2"], "'epochs'"),
        ("", ["--set", "train.dtype=int8"], "train.dtype"),
        ("", ["--set", "train.lora_rank=4"], "adapts a trained model; name its folder with --init"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str, arguments: list[str], words: str
) -> None:
    run = make_run(tmp_path)
    run.log.mkdir()
    if missing:
        (run.folder / missing).unlink()
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--run", str(run.folder), *arguments])
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert words in line
    assert line.count("\n") == 1
