"""Weights in 4 bits: groups of inputs that share a scale and an offset, rounded for the least squared error."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from shosei.model.threads import threads
from shosei.spec.generation import INT4_GROUP

# Values that one pass of the rounding takes: its float32 temporaries stay in a core's cache, which is twice as fast.
_CHUNK = 1 << 18
# Rows that a thread takes at a time; the operator lays out 64 together, and wants their codes as int32.
_ROWS = 256
_SMALLEST_SCALE = 1e-30  # for a group of equal weights
_REFITS = 2


class Int4Weight:
    """A matrix (outputs, inputs) in 4 bits, and products with it. ``inputs`` is a multiple of ``INT4_GROUP``.

    On the CPU torch's 4-bit operator computes them: it sums in float32, each row of the batch by itself. Elsewhere the
    matrix is made whole again for each product.
    """

    @torch.inference_mode(False)  # the threads write to what is made here, and are not in a caller's inference mode
    def __init__(self, weight: Tensor) -> None:
        """Holds the codes, two a byte, and a bfloat16 scale and offset a group, on the device of ``weight``."""
        self._fused = weight.device.type == "cpu" and weight.shape[0] % 16 == 0 and _operator_exists()
        rows, inputs = weight.shape
        self._codes = torch.empty(rows, inputs // 2, dtype=torch.uint8, device=weight.device)
        groups = torch.empty(rows, inputs // INT4_GROUP, 2, dtype=torch.bfloat16, device=weight.device)
        parts = (torch.split(tensor, _ROWS) for tensor in (weight.detach(), self._codes, groups))
        list(threads().map(self._encode, *parts))
        self._groups = groups.transpose(0, 1).contiguous() if self._fused else groups

    def multiply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """``x @ weight.T + bias`` for bfloat16 ``x`` (…, inputs)."""
        if self._fused:
            flat = x.reshape(-1, x.shape[-1]).contiguous()
            product = torch._weight_int4pack_mm_for_cpu(flat, self._codes, INT4_GROUP, self._groups)
            product = product.view(*x.shape[:-1], product.shape[-1])  # also where x has no rows
        else:
            codes = torch.stack((self._codes & 15, self._codes >> 4), dim=-1).flatten(1)
            product = F.linear(x, dequantize(codes, *self._groups.unbind(-1)).to(x.dtype))
        return product if bias is None else product + bias

    def _encode(self, rows: Tensor, packed: Tensor, groups: Tensor) -> None:
        """Write the codes and the groups of some rows."""
        codes, scale, offset = quantize(rows)
        if self._fused:
            packed.copy_(torch._convert_weight_to_int4pack_for_cpu(codes.int(), 2))
        else:
            packed.copy_(codes[:, ::2] | codes[:, 1::2] << 4)
        torch.stack((scale, offset), dim=-1, out=groups)


def quantize(weight: Tensor, group: int = INT4_GROUP, refits: int = _REFITS) -> tuple[Tensor, Tensor, Tensor]:
    """Codes from 0 to 15 (outputs, inputs) as uint8; scales and offsets (outputs, inputs / group) in bfloat16.

    ``group`` is a power of two. A weight is ``offset + scale * (code - 8)``: first the codes span a group's range;
    then, ``refits`` times, scale and offset are fitted to the codes by least squares and the codes rounded again, where
    that is nearer.
    """
    chunks = torch.split(weight.reshape(-1, group), _CHUNK // group)
    quantized = [_quantize(values.float().T.contiguous(), refits) for values in chunks]
    codes, scale, offset = (torch.cat([part.T for part in parts]) for parts in zip(*quantized, strict=True))
    return codes.view(weight.shape), scale.view(len(weight), -1), offset.view(len(weight), -1)


def dequantize(codes: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """The weights (outputs, inputs), float32, that ``quantize`` stands for."""
    grouped = codes.view(*scale.shape, -1).float() - 8
    return (grouped * scale[..., None].float() + offset[..., None].float()).flatten(1)


def _quantize(values: Tensor, refits: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (group, G), scales and offsets (1, G) as ``quantize`` gives them, of ``values`` (group, G) in float32.

    ``native/quantize.c`` does the same in the same order, and gets the same bits.
    """
    low, high = values.aminmax(dim=0, keepdim=True)
    mean = _mean(values)
    scale = _as_stored(((high - low) / 15).clamp_min(_SMALLEST_SCALE))
    best = _rounded(values, scale, _as_stored(low + 8 * scale))
    for _ in range(refits):
        codes = best[0]
        centre = _mean(codes)
        spread = codes - centre
        # Simple linear regression of the values on their codes; equal codes make it 0 / 0, which is never nearer.
        scale = _as_stored(_sum(spread * values) / _sum(spread * spread))
        fitted = _rounded(values, scale, _as_stored(mean - scale * centre))
        nearer = fitted[3] < best[3]
        best = [torch.where(nearer, new, old) for new, old in zip(fitted, best, strict=True)]
    codes, scale, offset, _ = best
    return (codes + 8).byte(), scale.bfloat16(), offset.bfloat16()


def _rounded(values: Tensor, scale: Tensor, offset: Tensor) -> list[Tensor]:
    """Codes from -8 to 7, their scale and offset, and each group's squared error."""
    codes = values.sub(offset).div_(scale).round_().clamp_(-8, 7)
    error = codes.mul(scale).add_(offset).sub_(values)
    return [codes, scale, offset, _sum(error.square_())]


def _mean(values: Tensor) -> Tensor:
    return _sum(values) / len(values)


def _sum(values: Tensor) -> Tensor:
    """(1, G): in halves."""
    while len(values) > 1:
        values = values[: len(values) // 2] + values[len(values) // 2 :]
    return values


def _as_stored(value: Tensor) -> Tensor:
    return value.bfloat16().float()


def _operator_exists() -> bool:
    return hasattr(torch, "_weight_int4pack_mm_for_cpu")
