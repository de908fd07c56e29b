"""Checkpoints: exact, checked on reading, and never half there."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from shosei.errors import InputError
from shosei.model.transformer import Transformer
from shosei.train import checkpoint
from shosei.train.checkpoint import Position
from shosei.train.loss import answer_loss
from shosei.train.optim import Optimizers
from train_samples import FAST, tiny_spec

SAVE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from train_samples import FAST, tiny_spec
from shosei.model.transformer import Transformer
from shosei.train import checkpoint
from shosei.train.optim import Optimizers
model = Transformer(tiny_spec())
optimizers = Optimizers(model, FAST)
print("ready", flush=True)
for step in itertools.count(1):
    position = checkpoint.Position(step, 1, step)
    checkpoint.save(Path(sys.argv[1]), model, optimizers, position, 1, FAST, tiny_spec(), {})
    checkpoint.prune(Path(sys.argv[1]), 2)
"""


def _fresh() -> tuple[Transformer, Optimizers]:
    model = Transformer(tiny_spec())
    return model, Optimizers(model, FAST)


def _steps(model: Transformer, optimizers: Optimizers, count: int) -> list[float]:
    """Losses on batches that torch's random state decides."""
    losses = []
    for _ in range(count):
        ids = torch.randint(0, 280, (4, 9))
        loss = answer_loss(model, ids[:, :-1], ids[:, 1:], torch.float32)
        loss.backward()
        optimizers.step(1.0)
        optimizers.zero_grad()
        losses.append(loss.item())
    return losses


def _save(folder: Path, model: Transformer, optimizers: Optimizers, step: int = 3) -> Path:
    return checkpoint.save(folder, model, optimizers, Position(step, 1, step), 1, FAST, tiny_spec(), {"data": "abc"})


def test_training_goes_on_from_a_checkpoint_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, optimizers = _fresh()
    _steps(model, optimizers, 3)
    path = _save(tmp_path, model, optimizers)
    expected = _steps(model, optimizers, 3)

    torch.manual_seed(99)
    model, optimizers = _fresh()
    manifest = checkpoint.load(path, model, optimizers)
    assert manifest.position == Position(3, 1, 3)
    assert manifest.inputs == {"data": "abc"}
    assert _steps(model, optimizers, 3) == expected


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.STATE, checkpoint.MANIFEST])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    path = _save(tmp_path, *_fresh())
    content = (path / name).read_bytes()
    (path / name).unlink()
    if damage == "truncated":
        (path / name).write_bytes(content[:-1])
    with pytest.raises(InputError, match=path.name):
        checkpoint.load(path, *_fresh())


def test_only_the_newest_are_kept_and_a_new_start_begins_empty(tmp_path: Path) -> None:
    model, optimizers = _fresh()
    for step in (1, 2, 10):
        _save(tmp_path, model, optimizers, step)
    checkpoint.prune(tmp_path, 2)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-000002", "step-000010"]
    checkpoint.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_kill_at_any_moment_leaves_whole_checkpoints_only(tmp_path: Path) -> None:
    for turn in range(2):
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1] / "support") as process:
            assert process.stdout is not None
            process.stdout.readline()
            while not checkpoint.checkpoints(tmp_path):
                time.sleep(0.01)
            time.sleep(random.Random(turn).uniform(0.0, 0.1))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        found = checkpoint.checkpoints(tmp_path)
        assert found
        for path in found:
            checkpoint.load(path, *_fresh())
        checkpoint.clear(tmp_path)
        assert list(tmp_path.iterdir()) == []
