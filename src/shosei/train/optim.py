"""Who optimises which parameter, and how the learning rate moves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import nn

from shosei.train import ranks
from shosei.train.config import TrainConfig
from shosei.train.muon import Muon, ShardedMuon
from shosei.train.sharding import part
from shosei.train.workers import Workers


def learning_rate_factor(step: int, steps: int, config: TrainConfig) -> float:
    """Share of the peak learning rate at ``step`` (from 0) of ``steps``: warm-up, stable, linear decay.

    The decay is linear from 1 at its first step and would reach ``final_lr`` one step after the last.
    """
    warmup, decay = round(config.warmup * steps), round(config.decay * steps)
    rising = (step + 1) / warmup if step < warmup else 1.0
    falling = config.final_lr + (1 - config.final_lr) * min(1.0, (steps - step) / decay) if decay else 1.0
    return min(rising, falling)


class Optimizers:
    """Muon or AdamW on the matrices; AdamW, without decay, on the embedding, the head and the norms.

    Muon (K. Jordan, 2024) steps with the orthogonalised momentum; ``match_rms_adamw`` scales that to the size of
    AdamW's steps (Liu et al., "Muon is Scalable for LLM Training", arXiv 2502.16982). AdamW: Loshchilov and Hutter
    2019, arXiv 1711.05101.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        matrices, tables = split_parameters(model)
        self.matrices: torch.optim.Optimizer
        if config.optimizer == "muon":
            muon = ShardedMuon if ranks.count() > 1 else Muon
            self.matrices = muon(
                matrices,
                lr=config.matrix_lr,
                momentum=config.momentum,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        else:
            self.matrices = torch.optim.AdamW(
                matrices, lr=config.matrix_lr, betas=config.betas, weight_decay=config.weight_decay, fused=True
            )
        # As a group, which may be empty: beside adapters every table is frozen.
        self.tables = torch.optim.AdamW(
            [{"params": tables}], lr=config.table_lr, betas=config.betas, weight_decay=0.0, fused=True
        )
        self._named = {"matrices": self.matrices, "tables": self.tables}
        for group in self._groups():
            group["peak_lr"] = group["lr"]

    def side_by_side(self, workers: Workers) -> None:
        """Let ``workers`` share the work on the matrices."""
        if isinstance(self.matrices, Muon):
            self.matrices.stacks, self.matrices.side_by_side = workers.count, workers.map

    def step(self, factor: float) -> None:
        """Apply the gradients at ``factor`` of the peak learning rates."""
        for group in self._groups():
            group["lr"] = group["peak_lr"] * factor
        for optimizer in self._named.values():
            optimizer.step()

    def zero_grad(self) -> None:
        for optimizer in self._named.values():
            optimizer.zero_grad()

    def state_dict(self) -> dict[str, object]:
        return {name: optimizer.state_dict() for name, optimizer in self._named.items()}

    def load_state_dict(self, state: dict[str, dict[str, Any]]) -> None:
        """Take over whole state; where the parameters are divided among ranks, this rank's part of it."""
        for kind, optimizer in self._named.items():
            stored = state[kind]
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            kept = {
                number: {name: part(value, parameters[number]) for name, value in values.items()}
                for number, values in stored["state"].items()
            }
            optimizer.load_state_dict({**stored, "state": kept})

    def _groups(self) -> Iterator[dict[str, float]]:
        return chain.from_iterable(optimizer.param_groups for optimizer in self._named.values())


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """``(matrices, tables)``: the layers' 2-D weights, and everything else (embedding, head, norms); each once, and
    none that is frozen."""
    matrices: list[nn.Parameter] = []
    tables: list[nn.Parameter] = []
    for name, parameter in trained_parameters(model).items():
        is_matrix = parameter.ndim == 2 and not name.endswith(("embed_tokens.weight", "lm_head.weight"))
        (matrices if is_matrix else tables).append(parameter)
    return matrices, tables


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """By name, those that are not frozen; a tied table once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
