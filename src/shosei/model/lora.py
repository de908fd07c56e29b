"""LoRA: a frozen model learns through two thin matrices beside each of its own (Hu et al. 2021, arXiv 2106.09685)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shosei.model.linear import Linear
from shosei.model.transformer import Transformer


class Adapted(nn.Module):
    """``y = base(x) + (alpha / rank) * b @ a @ x``: ``a`` is (rank, inputs), ``b`` (outputs, rank).

    ``a`` is drawn and ``b`` zero, so that learning begins at the base's own products.
    """

    def __init__(self, base: Linear, rank: int, alpha: float) -> None:
        super().__init__()
        outputs, inputs = base.weight.shape
        self.base, self.scale = base, alpha / rank
        self.a = nn.Parameter(base.weight.new_empty(rank, inputs).normal_(std=inputs**-0.5))
        self.b = nn.Parameter(base.weight.new_zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) to (…, outputs)."""
        return self.base(x) + self.scale * F.linear(F.linear(x, self.a), self.b)  # type: ignore[no-any-return]

    @torch.no_grad()
    def merged(self) -> Linear:
        """The base, which from now on computes what the two did together."""
        self.base.weight += self.scale * (self.b @ self.a)
        return self.base


def adapt(model: Transformer, rank: int, alpha: float) -> None:
    """Freeze ``model``, and put matrices of ``rank`` that learn beside each one of its layers."""
    model.requires_grad_(False)
    for module in list(model.layers.modules()):
        for name, child in module.named_children():
            if isinstance(child, Linear):
                setattr(module, name, Adapted(child, rank, alpha))


def merge(model: Transformer) -> None:
    """Make the model plain again, what it has learnt in its own matrices; does nothing to a model that is plain."""
    for module in list(model.layers.modules()):
        for name, child in module.named_children():
            if isinstance(child, Adapted):
                setattr(module, name, child.merged())
