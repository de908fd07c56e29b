"""Weights in 4 bits, as C rounds and lays them out: the codes, scales and offsets that torch makes, bit for bit."""

from __future__ import annotations

import errno
import mmap
import os

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from shosei.model import int4
from shosei.model.native import packed_matrix
from shosei.model.native.library import Library
from shosei.model.native.packed_matrix import Format, PackedMatrix


def packed(library: Library, weight: Tensor) -> Tensor:
    """The bytes of whole units, (units, groups, 640)."""
    units = -(-len(weight) // 32)
    to = torch.zeros(units, weight.shape[1] // 32 * 640, dtype=torch.uint8)
    whole = torch.zeros(units * 32, weight.shape[1], dtype=torch.bfloat16)
    whole[: len(weight)] = weight
    library.functions.native_pack_int4(units, weight.shape[1], whole.data_ptr(), to.data_ptr(), to.stride(0))
    return to.view(units, -1, 640)


def unpacked(units: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, scales and offsets, an output a row, as ``native.h`` has the layout."""
    count, groups, _ = units.shape
    pairs = units[..., :512].view(count, groups, 4, 2, 16, 4)
    codes = torch.stack(
        (pairs & 15, pairs >> 4), 3
    )  # unit, group, eight inputs, low or high, 16 outputs, output, input
    codes = codes.permute(0, 4, 5, 1, 2, 3, 6).reshape(count * 32, groups * 32)
    ends = units[..., 512:].contiguous().view(torch.bfloat16).view(count, groups, 2, 32)
    scales, offsets = ends.permute(2, 0, 3, 1).reshape(2, count * 32, groups)
    return codes, scales, offsets


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    outputs=st.integers(1, 70),
    groups=st.integers(1, 5),
    size=st.sampled_from([0.0, 1e-45, 1e-38, 1e-30, 1e-3, 1.0, 1e30, 1e37]),
    shift=st.sampled_from([0.0, 0.1, -7.0]),
    steps=st.sampled_from([0, 1, 3]),
    seed=st.integers(0, 10_000),
)
def test_c_rounds_to_the_bits_that_torch_does(
    library: Library, outputs: int, groups: int, size: float, shift: float, steps: int, seed: int
) -> None:
    values = torch.randn(outputs, groups * 32, generator=torch.Generator().manual_seed(seed))
    values = (values * steps).round() / steps if steps else values  # few different ones, so that many are ties
    weight = ((values + shift) * size).bfloat16()
    found = unpacked(packed(library, weight))
    for ours, expected in zip(found, int4.quantize(weight), strict=True):
        assert torch.equal(ours[:outputs], expected)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_group_with_a_weight_that_is_not_finite_stays_so(library: Library, value: float) -> None:
    weight = torch.randn(32, 96, generator=torch.Generator().manual_seed(1)).bfloat16()
    expected = int4.dequantize(*int4.quantize(weight))
    weight[3, 40] = value
    found = int4.dequantize(*unpacked(packed(library, weight)))
    assert not found[3, 32:64].isfinite().any()
    expected[3, 32:64] = found[3, 32:64] = 0
    assert torch.equal(found, expected)


def test_a_kernel_without_huge_pages_gives_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory(mmap.mmap):
        def madvise(self, *_: int) -> None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(packed_matrix.mmap, "mmap", Memory)
    memory = packed_matrix.on_huge_pages(5 << 20)
    assert len(memory) == 5 << 20
    assert not memory.any()


def test_a_matrix_is_packed_part_by_part_into_every_second_unit(library: Library) -> None:
    gate, up = torch.randn(2, 320, 64, generator=torch.Generator().manual_seed(2)).bfloat16()
    matrix = PackedMatrix(library, 640, 64, Format.INT4)
    matrix.fill(gate, slice(0, None, 2))
    matrix.fill(up, slice(1, None, 2))
    by_turns = torch.stack((packed(library, gate), packed(library, up)), 1).flatten(0, 1)
    assert torch.equal(matrix._units.view(20, 2, 640), by_turns)
