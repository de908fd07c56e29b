"""What generating text costs: memory of the engine, and the time that reading the weights takes."""

from __future__ import annotations

from dataclasses import dataclass

from shosei.spec.model import ModelSpec

_BF16 = 2
# Tokens of the prompts that the engine takes in at once, unless one is longer (engine/engine.py).
_PREFILL_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class GenerationMemory:
    """Bytes: weights and cache in bfloat16; what a prefill holds while it passes through one layer; and, before there
    is a cache, the matrix that is there twice while it is packed."""

    weights: int
    cache: int
    prefill: int
    packing: int

    @property
    def peak(self) -> int:
        return self.weights + max(self.packing, self.cache + self.prefill)


def generation_memory(spec: ModelSpec, streams: int, context: int) -> GenerationMemory:
    """Memory of ``streams`` sequences of up to ``context`` tokens each.

    A tied table is there twice, to look tokens up in and packed for the head's product.
    """
    table = spec.vocab_size * spec.d_model
    tokens = min(streams * context, max(_PREFILL_TOKENS, context))
    # The residual stream and its norm; both branches and the product.
    live = tokens * (2 * spec.d_model + 3 * spec.intermediate_size) + streams * spec.vocab_size
    return GenerationMemory(
        weights=_BF16 * (spec.params + (table if spec.tied else 0)),
        cache=streams * context * spec.kv_bytes_per_token(_BF16),
        prefill=_BF16 * live,
        packing=_BF16 * max(spec.d_model * spec.intermediate_size, 0 if spec.tied else table),
    )


def decode_seconds(spec: ModelSpec, context: int, bandwidth: float, streams: int = 1) -> float:
    """The least time of one token for each of ``streams``: every matrix and every stream's cache is read once.

    ``bandwidth`` in bytes/s (Pope et al. 2022, arXiv 2211.05102).
    """
    cache = streams * context * spec.kv_bytes_per_token(_BF16)
    return (_BF16 * spec.matmul_params + cache) / bandwidth
