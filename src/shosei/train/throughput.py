"""How fast a training computes: what a person sees while it runs. Nothing here reaches the log or the card."""

from __future__ import annotations

import numpy as np

from shosei.progress import Progress
from shosei.spec import ModelSpec
from shosei.spec.training import lora_params
from shosei.train import ranks

_WINDOW_S = 3.0  # over so many seconds of steps a rate is taken


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
    """Counts the steps of a training, and notes every few seconds their mean loss and tokens/s, of all ranks.

    ``peak``: FLOP/s at the GEMM peak of a rank; ``verbose`` notes the FLOP/s beside it, too.
    """

    def __init__(self, work: Progress, peak: float, *, verbose: bool = False) -> None:
        self._work, self._verbose = work, verbose
        self._peak = peak * ranks.count()
        # Sums over steps: their number, seconds within them, tokens without padding, FLOPs, losses.
        self._recent, self._total = np.zeros(5), np.zeros(5)

    def add(self, loss: float, seconds: float, tokens: int, flops: int) -> None:
        """Count one step."""
        self._recent += (1, seconds, tokens, flops, loss)
        self._total += (1, seconds, tokens, flops, loss)
        self._work.advance()
        if self._recent[1] >= _WINDOW_S or not self._work.note or self._work.done == self._work.total:
            self._work.note = self._rates()
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

    def _rates(self) -> str:
        steps, seconds, tokens, flops, loss = self._recent.tolist()
        rates = f"loss {loss / steps:.3f}, {tokens / seconds:,.0f} tokens/s"
        if not self._verbose:
            return rates
        per_second = flops / seconds
        return f"{rates}, {per_second / 1e9:.0f} GFLOP/s ({per_second / self._peak:.0%} of the GEMM peak)"
