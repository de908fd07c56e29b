"""Matrices in the layouts of ``native.h``: units of 32 outputs, in which a product reads memory from end to end."""

from __future__ import annotations

import mmap
from contextlib import suppress
from enum import IntEnum

import torch
from torch import Tensor
from torch.nn import functional as F

from shosei.model import int8
from shosei.model.native.library import Library
from shosei.model.native.structs import Matrix
from shosei.model.threads import threads
from shosei.spec.generation import WeightFormat

UNIT = 32
_HUGE_PAGE = 1 << 21
_ROWS = 256  # that a thread packs at a time: what it makes meanwhile stays small


class Format(IntEnum):
    """As ``native.h`` numbers them."""

    BF16 = 0
    INT8 = 1
    INT4 = 2

    @classmethod
    def of(cls, weights: WeightFormat) -> Format:
        """Of a matrix that is held as STORED, INT8 or INT4."""
        return {WeightFormat.STORED: cls.BF16, WeightFormat.INT8: cls.INT8, WeightFormat.INT4: cls.INT4}[weights]

    @property
    def bits(self) -> int:
        """Of a weight, scales and offsets of groups included."""
        return {Format.BF16: 16, Format.INT8: 8, Format.INT4: 5}[self]


class PackedMatrix:
    """A matrix (outputs, inputs), and its bias, that is filled part by part, as its weights come.

    ``inputs`` must be a multiple of 32; outputs are filled up with zeros to one.
    """

    @torch.inference_mode(False)  # threads write to what is made here, and are not in a caller's inference mode
    def __init__(self, library: Library, outputs: int, inputs: int, weights: Format, bias: bool = False) -> None:
        self.format, self.outputs, self.inputs = weights, outputs, inputs
        self._library = library
        count = -(-outputs // UNIT)
        self._units = on_huge_pages(count * UNIT * inputs * weights.bits // 8).view(count, -1)
        self._scales = torch.zeros(count, UNIT) if weights is Format.INT8 else None
        self._bias = torch.zeros(count, UNIT) if bias else None

    def fill(self, weight: Tensor, units: slice) -> None:
        """Take ``weight`` (outputs, inputs) as those of the units ``units``, which may be every second one."""
        scales = self._units if self._scales is None else self._scales
        parts = (torch.split(tensor[units], _ROWS // UNIT) for tensor in (self._units, scales))
        list(threads().map(self._fill, torch.split(weight.detach(), _ROWS), *parts))

    def _fill(self, weight: Tensor, units: Tensor, scales: Tensor) -> None:
        whole = F.pad(weight.bfloat16(), (0, 0, 0, -len(weight) % UNIT)).contiguous()
        if self.format is Format.INT4:
            places = (whole.data_ptr(), units.data_ptr(), units.stride(0))
            self._library.functions.native_pack_int4(len(units), self.inputs, *places)
        elif self.format is Format.INT8:
            packed, of_outputs = pack_int8(whole)
            units.copy_(packed)
            scales.copy_(of_outputs.view(-1, UNIT))
        else:
            units.copy_(pack_bf16(whole))

    def fill_bias(self, bias: Tensor, units: slice) -> None:
        assert self._bias is not None
        self._bias[units] = F.pad(bias.float(), (0, -len(bias) % UNIT)).view(-1, UNIT)

    def struct(self) -> Matrix:
        """It points into this object, which must outlive it."""
        parts = (self._units, self._scales, self._bias)
        pointers = (None if tensor is None else tensor.data_ptr() for tensor in parts)
        return Matrix(int(self.format), self.outputs, self.inputs, *pointers)


def on_huge_pages(size: int) -> Tensor:
    """``size`` bytes of zeros, all whole pages of 2 MB among them on such pages where the system has some: a step reads
    through all of them, and each page of 4 KB would need its own translation."""
    memory = mmap.mmap(-1, size + _HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # shared memory gets none
    whole = torch.frombuffer(memory, dtype=torch.uint8)
    begin, huge = -whole.data_ptr() % _HUGE_PAGE, size // _HUGE_PAGE * _HUGE_PAGE
    if huge and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel that was built without such pages
            memory.madvise(mmap.MADV_HUGEPAGE, begin, huge)
    return whole[begin : begin + size]


def pack_bf16(weight: Tensor) -> Tensor:
    """(outputs, inputs) to [unit][input pair][32 outputs][2 inputs], as bytes (units, bytes)."""
    units = weight.view(-1, UNIT, weight.shape[1] // 2, 2).transpose(1, 2).contiguous()
    return units.view(torch.uint8).flatten(1)


def pack_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Bytes [unit][4 inputs][32 outputs][4 inputs] of code + 128, and the scale of each output."""
    codes, scales = int8.quantize(weight)
    shifted = codes.view(torch.uint8) ^ 128  # which adds 128
    return shifted.view(-1, UNIT, weight.shape[1] // 4, 4).transpose(1, 2).flatten(1), scales
