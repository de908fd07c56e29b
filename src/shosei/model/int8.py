"""Weights in 8 bits: a scale for each output."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_SMALLEST_SCALE = 1e-30  # for an output whose weights are all 0
_CHUNK = 1 << 18  # values that are float32 at a time
_WIDTH = 32  # of whose multiples torch's operator takes inputs; of others it reads past their end


class Int8Weight:
    """A matrix (outputs, inputs) in 8 bits, and products with it, in bfloat16; sums are in float32.

    On the CPU torch's 8-bit operator computes them. Elsewhere the matrix is made whole again for each product.
    """

    def __init__(self, weight: Tensor) -> None:
        """Holds the codes and a float32 scale for each output, on the device of ``weight``."""
        self._codes, self._scales = quantize(weight.detach())
        self._fused = weight.device.type == "cpu" and weight.shape[1] % _WIDTH == 0 and _operator_exists()

    def multiply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """``x @ weight.T + bias`` for bfloat16 ``x`` (…, inputs)."""
        if self._fused:
            flat = x.reshape(-1, x.shape[-1]).contiguous()
            product = torch._weight_int8pack_mm(flat, self._codes, self._scales.to(x.dtype))
            product = product.view(*x.shape[:-1], product.shape[-1])  # also where x has no rows
        else:
            product = F.linear(x, dequantize(self._codes, self._scales).to(x.dtype))
        return product if bias is None else product + bias


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes from -127 to 127 (outputs, inputs) as int8, and scales (outputs,) in float32: a weight is scale * code."""
    parts = [_quantize(rows) for rows in torch.split(weight, max(1, _CHUNK // weight.shape[1]))]
    codes, scales = zip(*parts, strict=True)
    return torch.cat(codes), torch.cat(scales)


def dequantize(codes: Tensor, scales: Tensor) -> Tensor:
    """The weights (outputs, inputs), float32, that ``quantize`` stands for."""
    return codes.float() * scales[:, None]


def _quantize(rows: Tensor) -> tuple[Tensor, Tensor]:
    values = rows.float()
    low, high = values.aminmax(dim=-1)
    scales = (torch.maximum(-low, high) / 127).clamp_min(_SMALLEST_SCALE)
    return values.div(scales[:, None]).round_().to(torch.int8), scales


def _operator_exists() -> bool:
    return hasattr(torch, "_weight_int8pack_mm")
