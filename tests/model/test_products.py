"""Products of ever new shapes, as prompts of ever new lengths make them, take no more memory than a few do."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
