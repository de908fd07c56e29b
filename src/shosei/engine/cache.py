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
        shape = (spec.n_layers, spec.n_kv_heads, blocks, BLOCK_TOKENS, spec.head_dim)
        # A head's blocks lie one behind the other: a run of them is one matrix without being copied.
        self.k, self.v = (_zeros(shape, like).transpose(1, 2) for _ in "kv")
        self.queries = spec.n_heads // spec.n_kv_heads  # that share a KV head

    def of_heads(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of ``layer`` as (KV, blocks, BLOCK_TOKENS, head_dim)."""
        return self.k[layer].transpose(0, 1), self.v[layer].transpose(0, 1)


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Zeros, not just any memory: masked positions count as 0 · v, and 0 · NaN is NaN. torch's own would be written."""
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    mapped = mmap.mmap(-1, max(math.prod(shape) * like.element_size(), 1))
    return torch.frombuffer(mapped, dtype=like.dtype, count=math.prod(shape)).view(shape)
