"""How fast a training computes: what a person sees while it runs. Nothing here reaches the log or the card."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shosei.spec import ModelSpec
from shosei.spec.training import lora_params
from shosei.train import ranks

_BETWEEN_LINES_S = 3.0  # between two lines


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
        if self._recent[1] >= _BETWEEN_LINES_S or step == self._steps:
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
