"""Products in C: equal to torch's of the same rounded rows and weights, and a row's the same bits in any company."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from native_samples import HAS_CC, HAS_ZIG, HERE, multiply
from shosei.model.native import reference
from shosei.model.native.compiler import compilers
from shosei.model.native.instructions import InstructionSet
from shosei.model.native.library import Library, load
from shosei.model.native.packed_matrix import Format

FORMATS = pytest.mark.parametrize("packed", list(Format), ids=lambda packed: packed.name)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a.double() - b).norm() / b.norm().clamp_min(1e-300)).item()


@FORMATS
@SHARED
@given(
    rows=st.integers(1, 40),
    outputs=st.integers(1, 200),
    groups=st.integers(1, 9),
    size=st.sampled_from([1e-12, 1.0, 1e12]),
    seed=st.integers(0, 1000),
)
@example(rows=40, outputs=1, groups=1, size=1.0, seed=0)
@example(rows=8, outputs=1, groups=9, size=1e12, seed=355)
@example(rows=13, outputs=1024, groups=2, size=1.0, seed=0)
def test_a_product_is_that_of_what_rows_and_weights_are_rounded_to(
    library: Library, packed: Format, rows: int, outputs: int, groups: int, size: float, seed: int
) -> None:
    x, weight = random(rows, groups * 32, seed=seed) * size, random(outputs, groups * 32, seed=seed + 1)
    bias = random(outputs, seed=seed + 2) * size
    magnitude = reference.rows(x, packed).abs().double() @ reference.weights(weight, packed).abs().double().T
    for added in (None, bias):
        error = multiply(library, weight, packed, x, added) - reference.product(x, weight, packed, added)
        assert (error.abs() <= 2e-6 * magnitude + 1e-6 * bias.abs()).all()


@FORMATS
def test_a_row_is_the_same_bits_alone_and_in_any_company(library: Library, packed: Format) -> None:
    x, weight = random(40, 256, seed=3), random(96, 256, seed=4)
    together = multiply(library, weight, packed, x)
    loud = x.clone()
    loud[1:] *= 1e6
    loud[2] = torch.nan
    assert torch.equal(multiply(library, weight, packed, loud)[0], together[0])
    for rows in range(1, 40):
        assert torch.equal(multiply(library, weight, packed, x[:rows]), together[:rows])
        assert torch.equal(multiply(library, weight, packed, x[rows:]), together[rows:])


@FORMATS
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(library: Library, packed: Format, threads: int) -> None:
    x, weight = random(5, 64), random(320, 64, seed=1)
    before = torch.get_num_threads()
    expected = multiply(library, weight, packed, x)
    try:
        torch.set_num_threads(threads)
        assert torch.equal(multiply(library, weight, packed, x), expected)
    finally:
        torch.set_num_threads(before)


@FORMATS
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_so_and_in_its_row(library: Library, packed: Format, value: float) -> None:
    x, weight = random(6, 96), random(64, 96, seed=1)
    expected = multiply(library, weight, packed, x)
    x[3, 40] = value
    found = multiply(library, weight, packed, x)
    assert not found[3].isfinite().any()
    others = [0, 1, 2, 4, 5]
    assert torch.equal(found[others], expected[others])


@FORMATS
def test_a_row_of_zeros_or_of_the_smallest_numbers_is_as_good_as_zero(library: Library, packed: Format) -> None:
    weight = random(32, 64)
    x = torch.stack((torch.zeros(64), torch.full((64,), 1e-45), torch.full((64,), -1e-39)))
    assert multiply(library, weight, packed, x).abs().max() < 1e-36


@FORMATS
def test_large_values_keep_their_precision(library: Library, packed: Format) -> None:
    x, weight = random(3, 64) * 1e30, random(32, 64, seed=1)
    assert distance(multiply(library, weight, packed, x), reference.product(x, weight, packed)) < 2e-6


def test_an_outlier_costs_its_own_inputs_precision_and_no_others(library: Library) -> None:
    x, weight = random(1, 256, seed=5), random(64, 256, seed=6)
    x[0, 7] = 1000
    exact = x.double() @ reference.weights(weight, Format.INT8).double().T
    without = exact - x[:, :32].double() @ reference.weights(weight, Format.INT8)[:, :32].double().T
    found = multiply(library, weight, Format.INT8, x) - multiply(
        library, weight, Format.INT8, x * (torch.arange(256) < 32)
    )
    assert distance(found, without) < 0.02


@pytest.mark.skipif(not (HAS_CC and HAS_ZIG), reason="there are not two C compilers")
@FORMATS
@pytest.mark.parametrize("target", HERE, ids=lambda target: target.name)
def test_every_compiler_makes_the_same_bits(packed: Format, target: InstructionSet) -> None:
    x, weight = random(7, 96), random(80, 96, seed=1)
    by_cc, by_zig = (multiply(load(target, compiler()), weight, packed, x) for compiler in compilers())
    assert torch.equal(by_cc, by_zig)
