"""How fast this process computes, and how fast it trains: what a person sees, and no card has."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import psutil
import torch

from shosei.model import device
from shosei.model.device import compute_dtype
from shosei.spec import ModelSpec
from shosei.spec.device import Device
from shosei.spec.training import lora_params
from shosei.train import ranks

_SECONDS = 3.0  # between two lines
_PROBE_SECONDS = 0.2
_PROBE_BYTES = 1 << 28  # far more than any cache holds
_PEAK_SIZE = {"cpu": 1024}  # an accelerator wants more to do


@cache
def gemm_peak(dtype: torch.dtype, seconds: float = _PROBE_SECONDS) -> float:
    """FLOP/s of the best of repeated square products: what this process can do on its device. Measured once."""
    where = device.choose()
    size = _PEAK_SIZE.get(where.type, 8192)
    a = torch.ones(size, size, dtype=dtype, device=where)
    best, deadline = float("inf"), time.monotonic() + seconds
    while time.monotonic() < deadline:
        begin = time.monotonic()
        a @ a
        if where.type != "cpu":
            torch.accelerator.synchronize(where)
        best = min(best, time.monotonic() - begin)
    return 2 * size**3 / best


def this_machine() -> Device:
    """Memory that is free now, the best rate of square products in the type that the trainer would choose, and the
    best rate of reading: of adding up integers, since torch adds up floats no faster than one core can."""
    dtype = compute_dtype("auto")
    threads = torch.get_num_threads()
    source = f"measured: {threads} thread{'s' * (threads > 1)}, {str(dtype).removeprefix('torch.')}"
    return Device("this machine", psutil.virtual_memory().available, gemm_peak(dtype), _read_bandwidth(), source)


def _read_bandwidth() -> float:
    values = torch.ones(_PROBE_BYTES // 8, dtype=torch.int64)
    best, deadline = float("inf"), time.monotonic() + _PROBE_SECONDS
    while time.monotonic() < deadline:
        begin = time.monotonic()
        values.sum()
        best = min(best, time.monotonic() - begin)
    return values.nbytes / best


def step_flops(spec: ModelSpec, tokens: int, answers: int, sequence: int, lora_rank: int = 0) -> int:
    """Forward and backward FLOPs of a step whose head, and last feed-forward network, see only ``answers`` of its
    ``tokens``.

    The spec's closed form, less these two at every position where no loss is taken. What is computed again to save
    memory does not count. Beside adapters of ``lora_rank`` no frozen weight has a gradient.
    """
    per_token = spec.train_flops_per_token(sequence)
    head, network = 6 * spec.vocab_size * spec.d_model, 18 * spec.d_model * spec.intermediate_size
    if lora_rank:
        per_token += 6 * lora_params(spec, lora_rank) - 2 * spec.matmul_params
        head = 4 * spec.vocab_size * spec.d_model
        network = network * 2 // 3 + 18 * lora_rank * (spec.d_model + spec.intermediate_size)
    return tokens * per_token - (tokens - answers) * (head + network)


class Throughput:
    """Says a line every few seconds: mean loss, tokens/s, FLOP/s beside the GEMM peak, time to go; of all ranks."""

    def __init__(self, start: int, steps: int, peak: float, say: Callable[[str], None]) -> None:
        self._start, self._steps, self._say = start, steps, say
        self._peak = peak * ranks.count()
        # Sums over steps: their number, seconds within them, tokens without padding, FLOPs, losses.
        self._recent, self._total = np.zeros(5), np.zeros(5)

    def add(self, loss: float, seconds: float, tokens: int, flops: int) -> None:
        """Count one step."""
        self._recent += (1, seconds, tokens, flops, loss)
        self._total += (1, seconds, tokens, flops, loss)
        step = self._start + int(self._total[0])
        if self._recent[1] >= _SECONDS or step == self._steps:
            self._report(step)
            self._recent[:] = 0

    def summary(self) -> dict[str, float]:
        """Rates over all steps, evaluation and checkpoints apart; empty if there was no step left to do."""
        steps, seconds, tokens, flops, _ = self._total.tolist()
        if not steps:
            return {}
        return {
            "seconds_in_steps": seconds,
            "tokens_per_second": tokens / seconds,
            "gflops": flops / seconds / 1e9,
            "gemm_peak_gflops": self._peak / 1e9,
        }

    def _report(self, step: int) -> None:
        steps, seconds, tokens, flops, loss = self._recent.tolist()
        left, flops_per_second = (self._steps - step) * seconds / steps, flops / seconds
        self._say(
            f"step {step}/{self._steps}  loss {loss / steps:.3f}  {tokens / seconds:,.0f} tokens/s  "
            f"{flops_per_second / 1e9:.0f} GFLOP/s ({flops_per_second / self._peak:.0%} of the GEMM peak)  "
            f"{left:.0f} s to go"
        )
