"""Muon: steps with the momentum orthogonalised (K. Jordan, 2024), of many matrices at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim._muon import _adjust_lr

from shosei.model.device import compute_dtype
from shosei.train import ranks
from shosei.train.sharding import full

_DTYPE = torch.bfloat16  # in which torch orthogonalises
_AT_ONCE = 1 << 21  # values in one stack: large matrices keep a core busy alone, and a stack of them is much memory


class Muon(torch.optim.Muon):
    """``torch.optim.Muon``, which orthogonalises one matrix after the other, by stacks of matrices of one shape.

    ``side_by_side`` is a ``map`` that may compute several stacks at a time; there are at least ``stacks`` of a shape.
    """

    side_by_side: Callable[[Callable[[list[Tensor]], None], Iterable[list[Tensor]]], Iterable[None]] = map
    stacks = 1

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply the gradients."""
        for group in self.param_groups:
            list(self.side_by_side(partial(self._step_stack, group), self._stacks(group)))

    def _stacks(self, group: dict[str, Any]) -> Iterator[list[Tensor]]:
        """The group's matrices that have gradients, those of one shape together, largest shapes first."""
        shapes: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
        for matrix in group["params"]:
            if matrix.grad is not None:
                shapes[tuple(sorted(matrix.shape))].append(matrix)
        for _, matrices in sorted(shapes.items(), reverse=True):
            count = max(self.stacks, len(matrices) * matrices[0].numel() // _AT_ONCE)
            yield from (stack for n in range(count) if (stack := matrices[n::count]))

    @torch.no_grad()  # which holds for the calling thread alone
    def _step_stack(self, group: dict[str, Any], stack: list[Tensor]) -> None:
        gradients = [matrix.grad for matrix in stack if matrix.grad is not None]
        averages = [self._average(matrix) for matrix in stack]
        torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
        directions = list(torch._foreach_lerp(gradients, averages, group["momentum"]))  # Nesterov's
        _apply(stack, _orthogonalised(directions, group), group)

    def _average(self, matrix: Tensor) -> Tensor:
        """The running average of the gradients of ``matrix``."""
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        average: Tensor = state["momentum_buffer"]
        return average


class ShardedMuon(Muon):
    """Muon where each rank has some rows of every matrix and of its momentum.

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
                self._step_turn(matrices[start : start + ranks.count()], group)

    def _step_turn(self, turn: list[DTensor], group: dict[str, Any]) -> None:
        """A step of as many matrices as there are ranks, or fewer; the n-th is rank n's."""
        update = torch.empty(0)
        for owner, matrix in enumerate(turn):
            gradient, average = matrix.grad, self._average(matrix)
            assert gradient is not None
            average.lerp_(gradient, 1 - group["momentum"])
            direction = full(gradient.lerp(average, group["momentum"]).to(_DTYPE))
            if owner == ranks.rank():
                update = _orthogonalised([direction], group)[0].contiguous()
        for owner, matrix in enumerate(turn):
            whole = update if owner == ranks.rank() else torch.empty(matrix.shape, dtype=_DTYPE, device=matrix.device)
            _apply(
                [matrix], [distribute_tensor(whole, matrix.device_mesh, matrix.placements, src_data_rank=owner)], group
            )


def _orthogonalised(directions: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
    """The nearest semi-update matrix of each, by the Newton-Schulz iteration of ``group``'s quintic.

    Their shapes are the same, or each other's transposed.
    """
    a, b, c = group["ns_coefficients"]
    x = torch.stack([d if d.shape[0] <= d.shape[1] else d.T for d in directions]).to(_DTYPE)
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = _product(x, x.mT)
        x = _product(_product(gram, gram, gram, beta=b, alpha=c), x, x, beta=a)
    return [update if update.shape == d.shape else update.T for update, d in zip(x, directions, strict=True)]


def _product(
    left: Tensor, right: Tensor, addend: Tensor | None = None, beta: float = 0.0, alpha: float = 1.0
) -> Tensor:
    """``beta * addend + alpha * left @ right`` of stacks in bfloat16. A processor that emulates bfloat16 computes it in
    float32 and rounds: twenty times as fast."""
    addend = left.new_zeros(()) if addend is None else addend
    if left.device.type != "cpu" or compute_dtype("auto") == _DTYPE:
        return torch.baddbmm(addend, left, right, beta=beta, alpha=alpha)
    return torch.baddbmm(addend.float(), left.float(), right.float(), beta=beta, alpha=alpha).to(_DTYPE)


def _apply(matrices: list[Tensor], updates: list[Tensor], group: dict[str, Any]) -> None:
    """Decay ``matrices``, which have one shape or its transposed, and step against ``updates``."""
    rate = _adjust_lr(group["lr"], group["adjust_lr_fn"], matrices[0].shape)
    torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
    torch._foreach_add_(matrices, updates, alpha=-rate)
