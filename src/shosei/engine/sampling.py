"""From logits to tokens."""

from __future__ import annotations

import torch
from torch import Tensor

# Sorting a whole vocabulary is slow; the nucleus nearly always lies within the first few tokens.
_FIRST_GUESS = 256


def sample(logits: Tensor, temperature: float, top_p: float, uniform: float) -> int:
    """One token id from logits (V,), by inverting the distribution at ``uniform`` in [0, 1).

    ``temperature`` > 0 divides the logits. ``top_p`` in (0, 1] keeps the smallest set of most probable tokens whose
    mass reaches it (nucleus sampling, Holtzman et al. 2020). The same numbers in give the same token out.
    """
    # Less the largest first: a tiny temperature then leaves zero and -inf, never inf - inf.
    probabilities = torch.softmax((logits.double() - logits.max()) / temperature, dim=-1)
    ids = None
    if top_p < 1:
        probabilities, ids = _nucleus(probabilities, top_p)
    cumulative = probabilities.cumsum(0)
    # Rounding could put the last point beyond the end.
    index = min(int(torch.searchsorted(cumulative, uniform * cumulative[-1], right=True)), len(cumulative) - 1)
    return index if ids is None else int(ids[index])


def _nucleus(probabilities: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The most probable tokens whose mass reaches ``top_p``: probabilities in falling order, and ids."""
    size = len(probabilities)
    for count in (min(_FIRST_GUESS, size), size):
        first, ids = probabilities.topk(count)
        cumulative = first.cumsum(0)
        if cumulative[-1] >= top_p:
            break
    kept = int((cumulative < top_p).sum()) + 1
    return first[:kept], ids[:kept]
