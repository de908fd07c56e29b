"""What products of torch are where oneDNN has none, and how much memory is taken by those of ever new shapes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from shosei.model.linear import widened_product

_PROGRAM = """
import sys, psutil, torch
from shosei.model.linear import Linear, bound_products
if sys.argv[1] == "bounded":
    bound_products(1)
torch.set_num_threads(1)
linear = Linear(64, 64)
torch.nn.init.zeros_(linear.weight)
linear.pack()
memory = psutil.Process().memory_info
with torch.inference_mode():
    for rows in range(1, 800):  # until the allocator has settled
        linear(torch.zeros(rows, 64))
    before = memory().rss
    for rows in range(800, 1400):
        linear(torch.zeros(rows, 64))
print(memory().rss - before)
"""


def _grown_mb(argument: str) -> float:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, argument], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1e6


def test_new_shapes_take_no_memory_for_good() -> None:
    unbounded = _grown_mb("unbounded")
    if unbounded < 30:
        pytest.skip(f"torch keeps no products here: {unbounded:.0f} MB for 600 shapes")
    assert _grown_mb("bounded") < 10


@pytest.mark.parametrize("shape", [(64,), (3, 64), (9, 64), (2, 5, 64)])
@pytest.mark.parametrize("outputs", [17, 20_000])  # less than a stripe, and two with a rest
@pytest.mark.parametrize("biased", [False, True])
def test_a_product_in_float32_is_that_of_bfloat16(shape: tuple[int, ...], outputs: int, biased: bool) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(shape).bfloat16(), torch.randn(outputs, 64).bfloat16()
    bias = torch.randn(outputs).bfloat16() if biased else None
    exact = x.double() @ weight.double().T + (0 if bias is None else bias.double())
    result = widened_product(weight)(x, bias)
    assert result.dtype == torch.bfloat16
    # Rounded once, to 8 bits: half a step is 1 in 256 at most.
    torch.testing.assert_close(result.double(), exact, rtol=1 / 255, atol=1e-4)


def test_a_row_that_is_no_number_spoils_no_other() -> None:
    x, weight = torch.ones(8, 64).bfloat16(), torch.ones(17, 64).bfloat16()
    x[3, 5] = torch.nan
    assert widened_product(weight)(x, None).isnan().any(1).tolist() == [row == 3 for row in range(8)]
