"""Muon on matrices whose rows are divided among the ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim._muon import _adjust_lr, _zeropower_via_newtonschulz

from shosei.train import ranks

_DTYPE = torch.bfloat16  # in which torch orthogonalises


class ShardedMuon(torch.optim.Muon):
    """``torch.optim.Muon``, to the bit, where each rank has some rows of every matrix and of its momentum.

    Orthogonalisation needs whole matrices. They are taken in turns of one a rank: each is gathered, orthogonalised by
    its rank alone, and its rows handed out. torch's own would run on divided matrices, with three exchanges in each of
    its five iterations, and round otherwise: the norm it begins with is then put together from bfloat16 parts.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply the gradients; all ranks together."""
        for group in self.param_groups:
            matrices = [matrix for matrix in group["params"] if matrix.grad is not None]
            for start in range(0, len(matrices), ranks.count()):
                self._step(matrices[start : start + ranks.count()], group)

    def _step(self, turn: list[DTensor], group: dict[str, Any]) -> None:
        """A step of as many matrices as there are ranks, or fewer; the n-th is rank n's."""
        own = torch.empty(0)
        for owner, matrix in enumerate(turn):
            direction = self._direction(matrix, group["momentum"]).full_tensor()
            if owner == ranks.rank():
                own = _zeropower_via_newtonschulz(direction, group["ns_coefficients"], group["ns_steps"], group["eps"])
        for owner, matrix in enumerate(turn):
            whole = own if owner == ranks.rank() else torch.empty(matrix.shape, dtype=_DTYPE, device=matrix.device)
            update = distribute_tensor(whole, matrix.device_mesh, matrix.placements, src_data_rank=owner)
            matrix.mul_(1 - group["lr"] * group["weight_decay"])
            matrix.add_(update, alpha=-_adjust_lr(group["lr"], group["adjust_lr_fn"], matrix.shape))

    def _direction(self, matrix: DTensor, momentum: float) -> DTensor:
        """Where Nesterov's momentum points."""
        gradient, state = matrix.grad, self.state[matrix]
        assert isinstance(gradient, DTensor)
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        average = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        direction: Tensor = gradient.lerp(average, momentum)
        return direction.to(_DTYPE)  # type: ignore[return-value]
