"""Workers: what several compute together is what one computes alone, and a run keeps to how many there are."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shosei.data.dataset import Batch
from shosei.errors import InputError
from shosei.files import sha256
from shosei.model import folder, lora
from shosei.model.transformer import Transformer
from shosei.spec import PRESETS
from shosei.train import checkpoint
from shosei.train.loss import answer_loss
from shosei.train.memory import recompute_blocks
from shosei.train.muon import Muon
from shosei.train.optim import Optimizers
from shosei.train.trainer import learn
from shosei.train.workers import Threads, Workers, choose_threads
from train_samples import FAST, make_run, run_training, tiny_spec, train_killed_once


@pytest.fixture(autouse=True)
def _threads_as_before() -> object:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def batch(rows: int = 5) -> Batch:
    """Rows of several lengths, with loss on their last tokens."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(4, 12, rows)
    ids = np.where(np.arange(12) < lengths[:, None], generator.integers(1, 200, (rows, 12)), 0)
    targets = np.where(np.arange(12) >= lengths[:, None] // 2, np.roll(ids, -1, axis=1), -100)
    return Batch(ids, np.where(np.arange(12) < lengths[:, None] - 1, targets, -100), lengths)


def a_step(workers: int, rows: int, adapters: bool = False) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    model = Transformer(tiny_spec())
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.1)
    if adapters:
        lora.adapt(model, 2, 4.0)
    team = Workers(model, Threads(workers, workers))
    optimizers = Optimizers(model, FAST.model_copy(update={"optimizer": "adamw"}))
    loss, norm, finite = learn(team, optimizers, batch(rows), 0.0, 1.0, torch.float32)
    assert finite
    return loss, norm


@pytest.mark.parametrize("adapters", [False, True])
@pytest.mark.parametrize(("workers", "rows"), [(2, 5), (3, 5), (2, 1), (4, 2)])
def test_workers_find_the_loss_and_the_gradient_of_the_whole_batch(workers: int, rows: int, adapters: bool) -> None:
    loss, norm = a_step(1, rows, adapters)
    together, norm_together = a_step(workers, rows, adapters)
    torch.testing.assert_close(together, loss)
    torch.testing.assert_close(norm_together, norm)


def test_a_worker_recomputes_its_own_layers() -> None:
    """Not the first one's, where gradients of several workers would be added in any order."""
    torch.manual_seed(0)
    model = Transformer(tiny_spec())
    plain = Workers(model, Threads(2, 2)).models[1]
    recompute_blocks(model)
    recomputing = Workers(model, Threads(2, 2)).models[1]
    ids = torch.randint(0, 200, (2, 9))
    for each in (plain, recomputing):
        answer_loss(each, ids[:, :-1], ids[:, 1:], torch.float32).backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    for own, same in zip(recomputing.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own.grad, same.grad)


def test_workers_share_the_weights_and_leave_no_gradient_behind() -> None:
    model = Transformer(tiny_spec())
    workers = Workers(model, Threads(2, 2))
    one, other = workers.models
    assert one is model
    for own, same in zip(one.parameters(), other.parameters(), strict=True):
        assert own.data_ptr() == same.data_ptr()
    assert (other.lm_head.weight is other.embed_tokens.weight) == (one.lm_head.weight is one.embed_tokens.weight)
    learn(workers, Optimizers(model, FAST), batch(), 1.0, 1.0, torch.float32)
    assert all(parameter.grad is None for each in workers.models for parameter in each.parameters())


def test_an_error_of_a_worker_is_the_callers() -> None:
    def fail(number: int) -> None:
        if number:
            raise InputError("no such row")

    with pytest.raises(InputError, match="no such row"):
        Workers(Transformer(tiny_spec()), Threads(2, 2)).map(fail, range(2))


def test_small_models_have_a_worker_a_thread_and_large_ones_one_for_all() -> None:
    assert choose_threads(PRESETS["nano"], 8) == choose_threads(PRESETS["nano"], 64) == Threads(8, 8)
    assert choose_threads(PRESETS["ja-small"], 8) == Threads(8, 1)


@pytest.mark.parametrize("stacks", [1, 3])
def test_stacked_matrices_step_as_torchs_muon_does(stacks: int) -> None:
    """Two steps, of three shapes, two of which are each other's transposed. torch's own takes one after the other."""
    torch.manual_seed(0)
    shapes = [(24, 16), (16, 24), (24, 16), (8, 16), (8, 16), (16, 16)]
    ours = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [nn.Parameter(parameter.detach().clone()) for parameter in ours]
    options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    optimizer, reference = Muon(ours, **options), torch.optim.Muon(theirs, **options)
    optimizer.stacks = stacks
    for _ in range(2):
        for own, their in zip(ours, theirs, strict=True):
            own.grad = torch.randn(own.shape)
            their.grad = own.grad.clone()
        before = [own.detach().clone() for own in ours]
        optimizer.step()
        reference.step()
    for own, their, old in zip(ours, theirs, before, strict=True):
        step = (their - old).norm()
        assert (own - their).norm() < 0.01 * step  # bfloat16 rounds to 0.4 %


@pytest.mark.parametrize("name", PRESETS)
def test_at_first_every_token_is_equally_likely(name: str) -> None:
    """The loss of random weights is ln V. At full width, with at most 2,048 rows, which gigabytes would be otherwise;
    what the layers add is zero at first, so one will do."""
    spec = replace(PRESETS[name], n_layers=1, intermediate_size=256, vocab_size=2048)
    torch.manual_seed(0)
    model = Transformer(spec)
    ids = torch.randint(0, spec.vocab_size, (1, 65))
    with torch.no_grad():
        loss = answer_loss(model, ids[:, :-1], ids[:, 1:], torch.float32).item()
        same = answer_loss(model, torch.full((1, 9), 7), torch.full((1, 9), 7), torch.float32).item()
    assert loss == pytest.approx(math.log(spec.vocab_size), rel=0.03)
    assert same > math.log(spec.vocab_size) - 4.1  # the one logit that is not near 0: the token's own, in a tied head


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_run_that_goes_on_with_fewer_cores_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = FAST.model_copy(update={"epochs": 3, "threads": 0})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    whole, _ = run_training(make_run(tmp_path / "whole"), config)
    run = make_run(tmp_path / "killed")
    with monkeypatch.context() as patch:
        patch.setenv("ONE_CORE_AFTER_THE_KILL", "1")
        patch.setenv("OMP_NUM_THREADS", "")  # which is 1 in tests
        assert train_killed_once(run, config, 2, patch) == 0
    newest = checkpoint.checkpoints(run.checkpoints)[-1]
    assert checkpoint.read_manifest(newest).threads == Threads(2, 2)
    assert sha256(run.model / folder.WEIGHTS) == whole.sha256
