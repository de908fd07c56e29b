"""This machine as a device to plan for, measured in about half a second."""

from __future__ import annotations

import time

import psutil
import torch

from shosei.spec.device import Device
from shosei.train.loss import compute_dtype
from shosei.train.progress import gemm_peak

_PROBE_BYTES = 1 << 28  # far more than any cache holds
_SECONDS = 0.2


def this_machine() -> Device:
    """Memory that is free now, the best rate of square products in the type that the trainer would choose, and the
    best rate of reading: of adding up integers, since torch adds up floats no faster than one core can."""
    dtype = compute_dtype("auto")
    threads = torch.get_num_threads()
    source = f"measured: {threads} thread{'s' * (threads > 1)}, {str(dtype).removeprefix('torch.')}"
    return Device("this machine", psutil.virtual_memory().available, gemm_peak(dtype), _read_bandwidth(), source)


def _read_bandwidth() -> float:
    values = torch.ones(_PROBE_BYTES // 8, dtype=torch.int64)
    best, deadline = float("inf"), time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        begin = time.monotonic()
        values.sum()
        best = min(best, time.monotonic() - begin)
    return values.nbytes / best
