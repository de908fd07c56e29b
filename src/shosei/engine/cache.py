"""Keys and values of all sequences, in blocks of tokens that one sequence or several may refer to."""

from __future__ import annotations

import math
import mmap

import torch
from torch import Tensor

from shosei.spec import ModelSpec
from shosei.spec.generation import BLOCK_TOKENS


class PagedCache:
    """``k`` and ``v``: (layers, blocks, KV, BLOCK_TOKENS, head_dim) each, of ``like``'s type, on its device.

    Only the last two dimensions are promised to lie together, a head's tokens of one block: take the other strides from
    the tensors. Which block is whose is the business of ``blocks.BlockPool``.
    """

    def __init__(self, spec: ModelSpec, blocks: int, like: Tensor) -> None:
        """On the CPU the system gives memory only as blocks are first written."""
        # A head's blocks lie one behind the other: a run of them is one matrix without being copied.
        shape = (spec.n_layers, 2, spec.n_kv_heads, blocks, BLOCK_TOKENS, spec.head_dim)
        both = _zeros(shape, like)
        self.k, self.v = both.transpose(2, 3).unbind(1)
        self.queries = spec.n_heads // spec.n_kv_heads  # that share a KV head
        self.heads = [*both.flatten(1, 2)]  # of each layer (2 * KV, blocks, BLOCK_TOKENS, head_dim), keys first

    def clear(self, layer: int, blocks: Tensor) -> None:
        """Make ``blocks`` (N,) zeros, as all are at first."""
        self.heads[layer].index_fill_(1, blocks, 0)

    def store(self, layer: int, places: Tensor, k: Tensor, v: Tensor) -> None:
        """Put new keys and values (N, KV, head_dim) into the ``places`` (N,): block * BLOCK_TOKENS + token."""
        for store, new in zip(self.heads[layer].flatten(1, 2).chunk(2), (k, v), strict=True):
            store.index_copy_(1, places, new.transpose(0, 1))


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Zeros, not just any memory: masked positions count as 0 · v, and 0 · NaN is NaN. torch's are written at once."""
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    mapped = mmap.mmap(-1, max(math.prod(shape) * like.element_size(), 1))
    return torch.frombuffer(mapped, dtype=like.dtype, count=math.prod(shape)).view(shape)
