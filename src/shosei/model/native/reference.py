"""What the products in C compute, in torch: their tests' oracle, and the shortest description of each. A whole step in
C is held against ``Transformer``."""

from __future__ import annotations

import torch
from torch import Tensor

from shosei.model import int4, int8
from shosei.model.native.packed_matrix import UNIT, Format


def weights(weight: Tensor, packed: Format) -> Tensor:
    """What ``weight`` (outputs, inputs) is after packing; ``packed_matrix.py``."""
    if packed is Format.INT8:
        return int8.dequantize(*int8.quantize(weight.bfloat16()))
    if packed is Format.INT4:
        return int4.dequantize(*int4.quantize(weight.bfloat16()))
    return weight.bfloat16().float()


def rows(x: Tensor, packed: Format) -> Tensor:
    """What ``x`` (rows, inputs) is as panels: in bfloat16, or in 8 bits with a scale for each 32 inputs; ``panels.h``.
    Of 32 inputs one of which is not finite, none is."""
    if packed is Format.BF16:
        return x.bfloat16().float()
    groups = x.view(len(x), -1, UNIT)
    most = groups.abs().amax(-1, keepdim=True)
    most = torch.where(groups.isfinite().all(-1, keepdim=True), most, torch.nan)
    inverse = torch.full_like(most, 127) / most  # not 127 / most: that is 127 times the rounded reciprocal
    codes = torch.where(most > 1e-36, groups * inverse, 0.0).round()
    return (codes * (most / 127)).flatten(1)


def product(x: Tensor, weight: Tensor, packed: Format, bias: Tensor | None = None) -> Tensor:
    """(rows, inputs) to (rows, outputs), summed in float64; ``tile.h``, ``product.c``."""
    exact = rows(x, packed).double() @ weights(weight, packed).double().T
    return exact if bias is None else exact + bias.double()
