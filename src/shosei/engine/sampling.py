"""From logits to a token: what a request changes in them, what may be drawn, and how probable it was."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shosei.engine.protocol import LogitRules, Submit, TokenScore

# Sorting a whole vocabulary is slow; the nucleus nearly always lies within the first few tokens.
_FIRST_GUESS = 256


class Adjuster:
    """Applies one request's ``LogitRules`` to its logits, token by token."""

    def __init__(self, request: Submit, vocab_size: int, device: torch.device) -> None:
        """Memory: two tensors (V,), on ``device``."""
        self._rules = request.rules or LogitRules()
        self._seen = torch.zeros(vocab_size, dtype=torch.bool, device=device)
        self._seen[torch.tensor(request.prompt, device=device)] = True
        self._counts = torch.zeros(vocab_size, device=device)
        self._made = 0
        bias = self._rules.logit_bias
        self._biased = torch.tensor([*bias], dtype=torch.long, device=device)
        self._bias = torch.tensor([*bias.values()], device=device)
        stops = {token for token in request.stop_ids if 0 <= token < vocab_size}
        self._stops = torch.tensor([*stops], dtype=torch.long, device=device)
        self._only_stops = len(stops) == vocab_size

    def take(self, token: int) -> None:
        """``token`` was chosen."""
        self._made += 1
        self._seen[token] = True
        self._counts[token] += 1

    def adjust(self, logits: Tensor, allowed: NDArray[np.bool_] | None = None) -> None:
        """Change ``logits`` (V,) in place, biases first, as transformers and vLLM have it. Where only a stop id is
        ``allowed`` (V,), one may come."""
        rules = self._rules
        if len(self._biased):
            logits[self._biased] += self._bias.to(logits.dtype)
        if rules.repetition_penalty != 1:
            penalty = rules.repetition_penalty
            less_likely = torch.where(logits < 0, logits * penalty, logits / penalty)
            logits.copy_(torch.where(self._seen, less_likely, logits))
        if rules.presence_penalty or rules.frequency_penalty:
            logits -= rules.frequency_penalty * self._counts + rules.presence_penalty * (self._counts > 0)
        if self._made < rules.min_tokens and self._others(allowed):
            logits[self._stops] = -torch.inf

    def _others(self, allowed: NDArray[np.bool_] | None) -> bool:
        """Whether a token that is no stop id may come."""
        if allowed is None:
            return not self._only_stops
        return bool(np.delete(allowed, self._stops.cpu()).any())


def most_probable(logits: Tensor) -> list[tuple[float, int]]:
    """The largest of each row of ``logits`` (T, V) and the first token that has it; NaN where a row holds one."""
    if logits.device.type == "cpu":  # where torch takes 20 times as long to say which one the largest is
        rows = logits.float().numpy()
        places = rows.argmax(axis=-1)
        return [*zip(rows[np.arange(len(rows)), places].tolist(), places.tolist(), strict=True)]
    best, tokens = logits.max(dim=-1)
    return [*zip(best.tolist(), tokens.tolist(), strict=True)]


def sample(logits: Tensor, temperature: float, top_p: float, uniform: float, top_k: int = 0, min_p: float = 0.0) -> int:
    """One token id from logits (V,), by inverting the distribution at ``uniform`` in [0, 1).

    ``temperature`` > 0 divides the logits. Then ``top_k`` above 0 keeps the most probable tokens (Fan et al. 2018),
    ``top_p`` in (0, 1] the smallest set of them whose mass reaches it (nucleus sampling, Holtzman et al. 2020), and
    ``min_p`` those that have at least that share of the greatest probability (Nguyen et al. 2024), in transformers'
    order. The same numbers in give the same token out.
    """
    # Less the largest first: a tiny temperature then leaves zero and -inf, never inf - inf.
    probabilities = torch.softmax((logits.double() - logits.max()) / temperature, dim=-1)
    ids = None
    if 0 < top_k < len(probabilities):
        probabilities, ids = probabilities.topk(top_k)
        probabilities = probabilities / probabilities.sum()
    if top_p < 1:
        probabilities, places = _nucleus(probabilities, top_p)
        ids = places if ids is None else ids[places]
    if min_p > 0:
        (places,) = torch.where(probabilities >= min_p * probabilities.max())
        probabilities, ids = probabilities[places], places if ids is None else ids[places]
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


def score(logits: Tensor, token: int, alternatives: int) -> TokenScore:
    """How probable ``token`` was by logits (V,), beside so many most probable tokens."""
    return scores(logits[None], [token], alternatives)[0]


def scores(logits: Tensor, tokens: list[int], alternatives: int) -> list[TokenScore]:
    """The score of each of ``tokens``, which may be none, by its row of ``logits`` (T, V)."""
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    chosen = logprobs[torch.arange(len(tokens)), torch.tensor(tokens, dtype=torch.long)].tolist()
    best, ids = logprobs.topk(min(alternatives, logprobs.shape[-1]))
    rows = zip(ids.tolist(), best.tolist(), strict=True)
    return [TokenScore(own, [*zip(*row, strict=True)]) for own, row in zip(chosen, rows, strict=True)]
