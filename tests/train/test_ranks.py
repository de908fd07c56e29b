"""Training on several ranks, as torchrun starts them: the same training as on one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from shosei.log import Log, Restart, Run, RunBegin, Step, read_log
from shosei.model import folder
from train_samples import make_run

HERE = Path(__file__).parents[1] / "support"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
SETTINGS = ["dtype=float32", "threads=1", "epochs=1", "checkpoint_steps=4", "optimizer=adamw", "batch_size=15"]


def train(folder_of_run: Path, count: int, *options: str, die_at: int = 0, supervised: bool = False) -> Log:
    """Train in a new run folder, or go on in attempt 1 of a used one; return its log."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOSEI_")}
    run = Run(folder_of_run)
    if not run.data.exists():
        make_run(folder_of_run)
        run.log.mkdir()
    else:
        environment["SHOSEI_ATTEMPT"] = "1"
    script = [str(HERE / "train_ranks.py"), str(folder_of_run), str(die_at), *SETTINGS, *options]
    command = [*TORCHRUN, str(count), *script] if count > 1 else [sys.executable, *script]
    if supervised:
        supervise = [sys.executable, "-m", "shosei", "supervise", "--run", str(folder_of_run), "--backoff", "0.01"]
        command = [*supervise, "--", *command]
    environment |= {"PYTHONPATH": f"{HERE}:{os.environ.get('PYTHONPATH', '')}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return read_log(run.log)


def losses(log: Log, rank: int = 0) -> list[float]:
    """The last word on each step."""
    return list({step.step: step.loss for step in log.of(Step) if step.rank == rank}.values())


def weights(run: Path) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in load_file(Run(run).model / folder.WEIGHTS).values()])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Log]:
    path = tmp_path_factory.mktemp("alone") / "run"
    return path, train(path, 1)


def test_two_ranks_one_of_them_killed_train_as_one(tmp_path: Path, alone: tuple[Path, Log]) -> None:
    path, expected = alone
    log = train(tmp_path / "run", 2, die_at=7, supervised=True)
    assert [event.failure for event in log.of(Restart)][-1] == 1
    for rank in (0, 1):
        assert losses(log, rank) == pytest.approx(losses(expected), rel=1e-4)
    torch.testing.assert_close(weights(tmp_path / "run"), weights(path), rtol=1e-3, atol=1e-3)
    # Each rank tells of its own rows, and in which place.
    for step in expected.of(Step):
        shares = {share.rank: share for share in log.of(Step) if share.step == step.step}
        assert sum(share.samples for share in shares.values()) == step.samples
        assert sum(share.tokens for share in shares.values()) == step.tokens
        assert sum(share.flops for share in shares.values()) == step.flops
    assert {begin.rank for begin in log.of(RunBegin) if begin.verb == "train"} == {0, 1}
    assert {begin.attempt for begin in log.of(RunBegin)} == {1}


def test_a_checkpoint_of_two_ranks_is_gone_on_from_by_one(tmp_path: Path, alone: tuple[Path, Log]) -> None:
    path, expected = alone
    with pytest.raises(AssertionError, match="SIGKILL") as failure:
        train(tmp_path / "run", 2, die_at=7)
    assert "bug of ours" not in str(failure.value)
    log = train(tmp_path / "run", 1)
    assert losses(log) == pytest.approx(losses(expected), rel=1e-4)
    torch.testing.assert_close(weights(tmp_path / "run"), weights(path), rtol=1e-3, atol=1e-3)
    assert {begin.attempt for begin in log.of(RunBegin)} == {1}
    assert [step.rank for step in log.of(Step) if step.step == len(losses(expected))] == [0]


@pytest.mark.long
def test_a_checkpoint_of_two_workers_is_gone_on_from_by_two_ranks(tmp_path: Path, alone: tuple[Path, Log]) -> None:
    with pytest.raises(AssertionError):
        train(tmp_path / "run", 1, "threads=2", die_at=7)
    log = train(tmp_path / "run", 2, "threads=2")
    assert losses(log) == pytest.approx(losses(alone[1]), rel=1e-4)
