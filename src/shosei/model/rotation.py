"""RoPE: queries and keys turned by angles that grow with the position (Su et al. 2021, arXiv 2104.09864)."""

from __future__ import annotations

import torch
from torch import Tensor

from shosei.model.frequencies import frequencies
from shosei.spec import ModelSpec

Rotation = tuple[Tensor, Tensor]  # cosines, and sines signed for ``rotate``; each (T, 1, head_dim)


class RotationTable:
    """The rotations of all positions up to the furthest that was asked for, made once for a type and device."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._cos = self._sin = torch.empty(0)

    def first(self, length: int, dtype: torch.dtype, device: torch.device) -> Rotation:
        """Of the positions from 0 up to ``length``."""
        if length > len(self._cos) or (self._cos.dtype, self._cos.device) != (dtype, device):
            self._cos, self._sin = _rotations(length, self._spec, dtype, device)
        return self._cos[:length], self._sin[:length]


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate (…, T, heads, head_dim): value i pairs with value i + head_dim / 2, the half-split form."""
    cos, sin = rotation
    return x * cos + x.roll(x.shape[-1] // 2, dims=-1) * sin  # addcmul would keep what is rolled for the backward pass


@torch.inference_mode(False)  # what is made while answering is used in training
def _rotations(length: int, spec: ModelSpec, dtype: torch.dtype, device: torch.device) -> Rotation:
    rates, magnitude = frequencies(spec, device)
    angles = torch.arange(length, device=device)[:, None, None] * rates
    cos, sin = (angles.cos() * magnitude).to(dtype), (angles.sin() * magnitude).to(dtype)
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)
