"""Counted steps, AdamW alone, blocks that are computed again: what each option changes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from shosei.log import Epoch, Score, Step
from shosei.model.transformer import Transformer
from shosei.train.checkpoint import checkpoints, read_manifest
from shosei.train.loss import answer_loss
from shosei.train.memory import recompute_blocks
from shosei.train.optim import learning_rate_factor
from train_samples import FAST, make_run, run_training, tiny_spec


def test_training_ends_after_max_steps_within_an_epoch(tmp_path: Path) -> None:
    config = FAST.model_copy(update={"max_steps": 20, "epochs": 1})
    run = make_run(tmp_path)
    trained, log = run_training(run, config)
    steps, epochs = log.of(Step), log.of(Epoch)
    assert trained.steps == len(steps) == 20
    assert [step.lr for step in steps] == [learning_rate_factor(n, 20, config) * config.matrix_lr for n in range(20)]
    assert [(epoch.index, epoch.steps, epoch.fraction) for epoch in epochs] == [(1, 15, 1.0), (2, 5, 5 / 15)]
    assert {score.epoch for score in log.of(Score)} == {1, 2}
    position = read_manifest(checkpoints(run.checkpoints)[-1]).position
    assert (position.step, position.epoch, position.batch) == (20, 2, 5)


def test_adamw_alone_learns(tmp_path: Path) -> None:
    _, log = run_training(make_run(tmp_path), FAST.model_copy(update={"optimizer": "adamw", "epochs": 2}))
    losses = [step.loss for step in log.of(Step)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [9, 300])  # plain products, and fused attention
def test_blocks_that_are_computed_again_give_the_same_gradients(dtype: torch.dtype, length: int) -> None:
    torch.manual_seed(0)
    model = Transformer(tiny_spec())
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    ids = torch.randint(0, 280, (2, length + 1))

    def gradients() -> tuple[list[torch.Tensor], int]:
        """And how many bytes wait for the backward pass."""
        kept = 0

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal kept
            kept += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = answer_loss(model, ids[:, :-1], ids[:, 1:], dtype)
        return list(torch.autograd.grad(loss, list(model.parameters()))), kept

    plain, all_kept = gradients()
    recompute_blocks(model)
    again, kept = gradients()
    assert all(map(torch.equal, plain, again))
    assert kept < all_kept / 4


def test_a_training_that_computes_blocks_again_ends_with_the_same_weights(tmp_path: Path) -> None:
    config = FAST.model_copy(update={"max_steps": 5})
    weights = [
        run_training(make_run(tmp_path / str(on)), config.model_copy(update={"checkpointing": on}))[0].sha256
        for on in (False, True)
    ]
    assert weights[0] == weights[1]
