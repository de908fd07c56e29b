"""What a rank keeps: real ranks for Muon's arithmetic, pretended ones (no memory, no exchange) for the large shapes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from shosei.model.transformer import Transformer
from shosei.spec import preset
from shosei.spec.training import Optimizer, optimizer_bytes
from shosei.train import TrainConfig
from shosei.train.loss import chunked_cross_entropy
from shosei.train.optim import Optimizers
from shosei.train.sharding import place

HERE = Path(__file__).parents[1] / "support"


@pytest.mark.parametrize("ranks", [8, 64])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_rank_of_the_largest_preset_keeps_its_part_of_the_closed_form(ranks: int, optimizer: Optimizer) -> None:
    spec = replace(preset("internlm-large"), n_layers=2)
    config = TrainConfig(optimizer=optimizer)
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    try:
        with FakeTensorMode() as pretended:
            model = Transformer(spec)
        place(model, torch.device("cpu"), torch.bfloat16)  # the mesh of ranks is real
        with pretended:
            ids = torch.zeros(1, 64, dtype=torch.int64)
            with torch.autocast("cpu", torch.bfloat16):
                hidden = model(ids).flatten(0, 1)
            chunked_cross_entropy(hidden, model.lm_head.weight, ids[0], torch.bfloat16, torch.tensor(64)).backward()
            gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizers = Optimizers(model, config)
            optimizers.step(1.0)
            states = [
                value
                for optimiser in (optimizers.matrices, optimizers.tables)
                for values in optimiser.state.values()
                for name, value in values.items()
                if name != "step"
            ]
            assert kept(list(model.parameters())) == kept(gradients) == 4 * spec.params // ranks
            assert kept(states) == optimizer_bytes(spec, optimizer) // ranks
    finally:
        dist.destroy_process_group()


def kept(tensors: list[torch.Tensor]) -> int:
    assert all(isinstance(tensor, DTensor) for tensor in tensors)
    return sum(tensor.to_local().nbytes for tensor in tensors)


MUON = """
import os
import torch
from torch import distributed as dist
from shosei.model.transformer import Transformer
from shosei.train.optim import Optimizers, split_parameters
from shosei.train.sharding import full, place
from torch.distributed.tensor import distribute_tensor
from train_samples import FAST, tiny_spec

spec = tiny_spec(d_model=33)  # rows that two ranks cannot divide evenly
torch.manual_seed(0)
alone, together = Transformer(spec), Transformer(spec)
together.load_state_dict(alone.state_dict())
one = Optimizers(alone, FAST)
dist.init_process_group("gloo")
if dist.get_rank():
    with torch.device("meta"):
        together = Transformer(spec)
place(together, torch.device("cpu"), torch.float32)
two = Optimizers(together, FAST)
before = {id(whole): whole.detach().clone() for whole in alone.parameters()}
for step in range(3):
    for whole, divided in zip(alone.parameters(), together.parameters(), strict=True):
        whole.grad = torch.randn(whole.shape)
        divided.grad = distribute_tensor(whole.grad, divided.device_mesh, divided.placements)
    one.step(0.5)
    two.step(0.5)
for whole, divided in zip(alone.parameters(), together.parameters(), strict=True):
    # Equal but for the rounding of bfloat16: whole matrices are orthogonalised in stacks, divided ones alone.
    assert (whole - full(divided)).norm() < 0.01 * (whole - before[id(whole)]).norm(), whole.shape
os._exit(0)  # as a rank of ours ends: gloo's threads may still be at work on the last tensors
"""


def test_the_update_of_divided_matrices_is_that_of_whole_ones(tmp_path: Path) -> None:
    script = tmp_path / "muon.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(HERE)!r})\n{MUON}")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
