"""Which device this process computes on, with how much memory, in which type and how fast."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache

import torch

from shosei.memory import available_memory
from shosei.spec.device import Device

_PEAK_SIZE = {"cpu": 1024}  # an accelerator wants more to do
_PROBE_S = 0.2
_PROBE_BYTES = 1 << 28  # far more than any cache holds
_BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16")


def choose() -> torch.device:
    """The accelerator that torch sees, the one numbered ``LOCAL_RANK`` (torchrun's; 0 without it), else the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return torch.device("cpu")
    return torch.device(accelerator.type, int(os.environ.get("LOCAL_RANK", "0")))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on ``device``; on the CPU, what this process may take without swapping or being killed."""
    if device.type == "cpu":
        return available_memory()
    return int(torch.accelerator.get_memory_info(device)[0])


@cache
def compute_dtype(name: str) -> torch.dtype:
    """The type that bfloat16, float32 or auto means on this machine. A processor that emulates bfloat16 is slower in it
    than in float32; an accelerator is taken to have it."""
    if name == "auto":
        able = torch.cpu.get_capabilities()
        has_it = choose().type != "cpu" or any(able.get(unit) for unit in _BFLOAT16_UNITS)
        name = "bfloat16" if has_it else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32


@cache
def gemm_peak(dtype: torch.dtype) -> float:
    """FLOP/s of the best of repeated square products: what this process can do on its device. Measured once."""
    return _gemm_rate(choose(), dtype)


def this_machine() -> Device:
    """Of the device that ``choose`` names: memory that is free now, the best rate of square products in the type that
    the trainer would choose, and the best rate of reading: of adding up integers, since torch adds up floats no faster
    than one core can."""
    where, dtype = choose(), compute_dtype("auto")
    threads = torch.get_num_threads()
    computes = f"{threads} thread{'s' * (threads > 1)}" if where.type == "cpu" else str(where)
    source = f"measured: {computes}, {str(dtype).removeprefix('torch.')}"
    return Device("this machine", free_memory(where), _gemm_rate(where, dtype), _read_bandwidth(where), source)


def _gemm_rate(where: torch.device, dtype: torch.dtype) -> float:
    size = _PEAK_SIZE.get(where.type, 8192)
    a = torch.ones(size, size, dtype=dtype, device=where)
    return 2 * size**3 / _least_seconds(where, lambda: a @ a)


def _read_bandwidth(where: torch.device) -> float:
    values = torch.ones(_PROBE_BYTES // 8, dtype=torch.int64, device=where)
    return values.nbytes / _least_seconds(where, values.sum)


def _least_seconds(where: torch.device, work: Callable[[], object]) -> float:
    """Of ``work`` on a device, done again and again for a moment."""
    best, deadline = float("inf"), time.monotonic() + _PROBE_S
    while time.monotonic() < deadline:
        begin = time.monotonic()
        work()
        if where.type != "cpu":
            torch.accelerator.synchronize(where)
        best = min(best, time.monotonic() - begin)
    return best
