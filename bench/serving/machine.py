"""What this machine reads and multiplies in this minute, and how fast it multiplies in a model's own shapes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

import torch
from torch.nn import functional as F

from shosei.model.device import this_machine
from shosei.spec import ModelSpec
from shosei.spec.device import Device

T = TypeVar("T")
_TURNS = 5


@dataclass(frozen=True)
class Machine:
    """Bytes/s that are read, FLOP/s of square products, and of products of some rows by all matrices of a layer."""

    bandwidth: float
    gemm: float
    model_gemm: float


def measured_machine(spec: ModelSpec, rows: int) -> Machine:
    """Now; the model's products are of so many rows."""
    return _by_itself(_measure, spec, rows)


def measured_bandwidth() -> float:
    """Bytes/s that are read now."""
    return _by_itself(_device).bandwidth


def _by_itself(measure: Callable[..., T], *arguments: object) -> T:
    """In a process of its own, in which nothing was measured before."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def _device() -> Device:
    torch.set_num_threads(os.cpu_count() or 1)
    return this_machine()


def _measure(spec: ModelSpec, rows: int) -> Machine:
    device = _device()
    return Machine(device.bandwidth, device.flops, _model_gemm(spec, rows))


def _model_gemm(spec: ModelSpec, rows: int) -> float:
    inputs = [torch.ones(rows, matrix[1], dtype=torch.bfloat16) for matrix in _shapes(spec)]
    weights = [torch.ones(matrix, dtype=torch.bfloat16) for matrix in _shapes(spec)]
    best = float("inf")
    for _ in range(_TURNS):
        begin = time.monotonic()
        for x, weight in zip(inputs, weights, strict=True):
            F.linear(x, weight)
        best = min(best, time.monotonic() - begin)
    return sum(2 * rows * weight.numel() for weight in weights) / best


def _shapes(spec: ModelSpec) -> list[tuple[int, int]]:
    """(outputs, inputs) of a layer's matrices."""
    heads, kv = spec.n_heads * spec.head_dim, spec.n_kv_heads * spec.head_dim
    width, inner = spec.d_model, spec.intermediate_size
    return [(heads, width), (kv, width), (kv, width), (width, heads), (inner, width), (inner, width), (width, inner)]


@contextmanager
def busy_cores() -> Iterator[None]:
    """Beside one busy process a core, for the length of the block."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        time.sleep(0.2)
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
