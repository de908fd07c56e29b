"""How fast RoPE turns each pair of values (Su et al. 2021, arXiv 2104.09864), stretched where the spec says so; for
whatever computes the angles, in torch or in C."""

from __future__ import annotations

import torch
from torch import Tensor

from shosei.spec import ModelSpec


def frequencies(spec: ModelSpec, device: torch.device | None = None) -> tuple[Tensor, float]:
    """RoPE's, (head_dim / 2,) in radians a position, and what cosines and sines are multiplied by."""
    exponents = torch.arange(0, spec.head_dim, 2, device=device) / spec.head_dim
    # Not theta**-exponents: that rounds otherwise than checkpoints were trained with, by 1e-4 at position 4000.
    rates = 1.0 / spec.rope_theta**exponents
    if not spec.rope_scaling:
        return rates, 1.0
    divisors = spec.rope_scaling.divisors(spec.rope_theta, spec.head_dim)
    return rates / rates.new_tensor(divisors), spec.rope_scaling.magnitude
