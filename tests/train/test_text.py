"""Pretraining on text: the loss on what is held out of it, a kill, and text beside conversations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from recorded import metric_of, rows
from shosei.data.batches import open_batches
from shosei.data.corpus import corpus_file, stored_documents
from shosei.data.dataset import NO_LOSS
from shosei.files import sha256
from shosei.log import HeldOut, Log, Run, RunBegin, Score, Step, read_log
from shosei.metrics.cells import compute
from shosei.model import folder
from shosei.text import load_chat
from shosei.train.trainer import Trained
from text_samples import hashes_of, sentences, text_run
from train_samples import FAST, make_run, run_training, train_killed_once
from verb import Shosei

CONFIG = FAST.model_copy(update={"epochs": 3, "sequence": 48, "batch_tokens": 192, "checkpoint_steps": 5})
DOCUMENTS = sentences(150)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Trained, Log]:
    run = text_run(tmp_path_factory.mktemp("text"), DOCUMENTS)
    return run, *run_training(run, CONFIG)


def test_held_out_text_is_foretold_better_from_epoch_to_epoch(finished: tuple[Run, Trained, Log]) -> None:
    run, trained, log = finished
    measured = log.of(HeldOut)
    assert [loss.epoch for loss in measured] == [0, 1, 2, 3]
    assert [loss.step for loss in measured] == [trained.steps * epoch // 3 for epoch in range(4)]
    assert measured[0].nats / measured[0].tokens == pytest.approx(math.log(300), rel=0.1), "by chance at first"
    assert measured[-1].nats < 0.4 * measured[0].nats
    held_out = list(stored_documents(corpus_file(run, "held_out")))
    assert {loss.characters for loss in measured} == {sum(map(len, held_out))}
    assert trained.held_out["bits_per_character"] == pytest.approx(
        measured[-1].nats / math.log(2) / measured[-1].characters
    )


def test_transformers_finds_the_same_loss(finished: tuple[Run, Trained, Log]) -> None:
    run, _, log = finished
    peer = LlamaForCausalLM.from_pretrained(run.model, dtype=torch.float32)
    chat = load_chat(run.tokenizer)
    _, held_out = open_batches(
        run, chat, hashes_of(run), batch_size=1, batch_tokens=1, sequence=CONFIG.sequence, seed=1, context=512
    )
    assert held_out is not None
    nats, tokens = 0.0, 0
    for batch in held_out.in_order(1 << 12):
        with torch.no_grad():
            logits = peer(torch.from_numpy(batch.ids)).logits
        targets = torch.from_numpy(batch.targets).flatten()
        nats += torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets, ignore_index=NO_LOSS, reduction="sum"
        ).item()
        tokens += batch.tokens
    last = log.of(HeldOut)[-1]
    assert last.tokens == tokens
    assert last.nats == pytest.approx(nats, rel=1e-4)


def test_the_card_shows_it_beside_the_training_loss(finished: tuple[Run, Trained, Log]) -> None:
    _, _, log = finished
    events = [event for kind in log.events for event in log.of(kind)]
    metric = metric_of(events, "training_speed", "training")
    table = rows(metric, "held-out text")
    assert [len(table), len(metric.plots)] == [4, 2]
    without = [event for event in events if not isinstance(event, HeldOut)]
    assert len(metric_of(without, "training_speed", "training").plots) == 1
    assert [metric.status for metric in compute(log)] == [
        metric.status for metric in compute(Log(log.attempt, {k: v for k, v in log.events.items() if k is not HeldOut}))
    ]


def test_the_log_names_the_text(finished: tuple[Run, Trained, Log]) -> None:
    run, _, log = finished
    [begin] = log.of(RunBegin)
    assert set(begin.hashes) == {"text:train", "text:held_out", "tokenizer"}
    assert begin.hashes["text:train"] == sha256(corpus_file(run, "train"))


@pytest.mark.long  # test_workers.py kills one too
def test_a_killed_training_on_text_ends_with_the_same_weights(
    finished: tuple[Run, Trained, Log], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = text_run(tmp_path, DOCUMENTS)
    assert train_killed_once(run, CONFIG, 2, monkeypatch) == 0
    assert sha256(run.model / folder.WEIGHTS) == finished[1].sha256
    assert [loss.nats for loss in read_log(run.log).of(HeldOut)] == [loss.nats for loss in finished[2].of(HeldOut)]


def test_conversations_and_text_are_learnt_together(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    text_run(tmp_path, DOCUMENTS)
    trained, log = run_training(run, CONFIG.model_copy(update={"batch_tokens": 512}))
    assert sum(step.samples for step in log.of(Step)) > CONFIG.epochs * 240
    first, last = log.of(HeldOut)[0], log.of(HeldOut)[-1]
    assert last.nats < 0.8 * first.nats
    assert {score.epoch for score in log.of(Score)} == {1, 2, 3}
    assert set(log.of(RunBegin)[0].hashes) == {"data", "validation", "text:train", "text:held_out", "tokenizer"}
    assert trained.held_out


def test_rows_that_the_model_cannot_read_are_refused(tmp_path: Path, shosei: Shosei) -> None:
    run = text_run(tmp_path, DOCUMENTS)
    run.log.mkdir()
    code, _, err = shosei("train", "--run", run.folder, "--set", "train.sequence=1024")
    assert (code, err.count("\n")) == (2, 1)
    assert "train.sequence=512" in err


def test_a_loss_that_is_not_finite_is_a_gap(finished: tuple[Run, Trained, Log]) -> None:
    _, _, log = finished
    events = [event for kind in log.events for event in log.of(kind)]
    lost = HeldOut(epoch=4, step=99, nats=None, tokens=1, characters=1, phase="training")
    metric = metric_of([*events, lost], "training_speed", "training")
    assert rows(metric, "held-out text")["4"] == [99, None, None]
    assert metric.plots[1].curves[0].y[-1] is None
