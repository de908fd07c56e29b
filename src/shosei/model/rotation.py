"""RoPE: queries and keys turned by angles that grow with the position (Su et al. 2021, arXiv 2104.09864)."""

from __future__ import annotations

import torch
from torch import Tensor

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
    exponents = torch.arange(0, spec.head_dim, 2, device=device) / spec.head_dim
    # Not theta**-exponents: that rounds otherwise than checkpoints were trained with, by 1e-4 at position 4000.
    frequencies, magnitude = 1.0 / spec.rope_theta**exponents, 1.0
    if scaling := spec.rope_scaling:
        divisors = scaling.divisors(spec.rope_theta, spec.head_dim)
        frequencies, magnitude = frequencies / frequencies.new_tensor(divisors), scaling.magnitude
    angles = torch.arange(length, device=device)[:, None, None] * frequencies
    cos, sin = (angles.cos() * magnitude).to(dtype), (angles.sin() * magnitude).to(dtype)
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)
