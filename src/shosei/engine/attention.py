"""Attention of a ragged batch over the paged cache, by torch's products on any device."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from shosei.engine.batch import Batch
from shosei.engine.cache import PagedCache
from shosei.spec.generation import BLOCK_TOKENS


class PagedAttention:
    """What the rows of one batch store in the cache and attend to; meets ``model.transformer.Cache``."""

    def __init__(self, cache: PagedCache, batch: Batch) -> None:
        self._cache = cache
        sizes = np.diff(batch.starts.numpy())
        positions = batch.positions.numpy()
        blocks = batch.tables.numpy()[np.arange(len(sizes)).repeat(sizes), positions // BLOCK_TOKENS]
        places = torch.from_numpy(blocks.astype(np.int64) * BLOCK_TOKENS + positions % BLOCK_TOKENS)
        self._places = places.to(cache.k.device)  # (N,): where a head keeps the new tokens
        # Whoever had them before may have left what is not finite, and masked positions count as 0 · v.
        begun = torch.from_numpy(blocks[positions % BLOCK_TOKENS == 0].astype(np.int64))
        self._begun = begun.to(cache.k.device)  # blocks that get their first token
        self.positions = batch.positions.to(cache.k.device)
        alike = groupby(range(len(sizes)), key=sizes.__getitem__)
        self._groups = [_group(batch, [*sequences], cache) for _, sequences in alike]
        longest = max(group.length for group in self._groups)
        self.length = 1 << (longest - 1).bit_length()  # since the model makes tables anew where it grows

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """As ``model.transformer.Cache`` has it."""
        if len(self._begun):
            self._cache.clear(layer, self._begun)
        self._cache.store(layer, self._places, k, v)
        attended = [_attend(q[group.rows], self._cache.heads[layer], group) for group in self._groups]
        return attended[0] if len(attended) == 1 else torch.cat(attended)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Sequences side by side with T rows each, which attend together: B of them, padded to ``length`` positions."""

    rows: slice
    sequences: int
    length: int  # whole blocks
    blocks: Tensor | slice  # (B * length / BLOCK_TOKENS,) int32, a sequence behind the other; or a run of them
    mask: Tensor  # to be added to the scores (KV * B, G * T, length), where G queries share a KV head


def _group(batch: Batch, sequences: list[int], cache: PagedCache) -> _Group:
    first, last = sequences[0], sequences[-1]
    rows = slice(int(batch.starts[first]), int(batch.starts[last + 1]))
    positions = batch.positions[rows].view(len(sequences), -1)
    count = int(positions.numpy().max()) // BLOCK_TOKENS + 1
    table, length = batch.tables[first : last + 1, :count], count * BLOCK_TOKENS
    if len(sequences) > 1:  # behind the last of a shorter one come blocks of others: it is filled up with its own
        table = torch.where(torch.arange(count) <= positions[:, -1:] // BLOCK_TOKENS, table, table[:, :1])
    blocks = table.flatten()
    begin, *_ = held = blocks.tolist()
    run = slice(begin, begin + len(held))
    is_run = held == [*range(run.start, run.stop)]
    mask = _mask(positions.to(cache.k.device), length, cache)
    return _Group(rows, len(sequences), length, run if is_run else blocks.to(cache.k.device), mask)


def _mask(positions: Tensor, length: int, cache: PagedCache) -> Tensor:
    """Minus infinity where a row at one of ``positions`` (B, T) must not look, as ``_Group.mask``."""
    sequences, rows = positions.shape
    hidden = torch.arange(length, device=positions.device) > positions[:, None, :, None]
    mask = cache.k.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)
    if rows > 1:
        mask = mask.expand(sequences, cache.queries, rows, length)
    mask = mask.reshape(sequences, -1, length)
    return mask if sequences == 1 else mask.repeat(cache.k.shape[2], 1, 1)


def _attend(q: Tensor, store: Tensor, group: _Group) -> Tensor:
    """Queries (B * T, H, head_dim) over the layer's ``store`` (2 * KV, blocks, BLOCK_TOKENS, head_dim); returns the
    like of the queries."""
    _, heads, width = q.shape
    blocks = store[:, group.blocks] if isinstance(group.blocks, slice) else store.index_select(1, group.blocks)
    k, v = blocks.reshape(-1, group.length, width).chunk(2)  # (KV * B, length, head_dim)
    kv_heads = len(store) // 2
    ragged = q.view(group.sequences, -1, kv_heads, heads // kv_heads, width)
    # The queries that share a KV head become rows of one matrix: keys and values are read once and never expanded.
    folded = ragged.permute(2, 0, 3, 1, 4).reshape(len(k), -1, width)
    # On the CPU torch's fused attention is up to ten times slower for few queries.
    attended = (by_products if q.device.type == "cpu" else fused)(folded, k, v, group.mask)
    unfolded = attended.view(kv_heads, group.sequences, heads // kv_heads, -1, width).permute(1, 3, 0, 2, 4)
    return unfolded.reshape(q.shape)


def by_products(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Queries (N, Q, head_dim) over keys and values (N, S, head_dim); ``mask`` is added to the scores (N, Q, S)."""
    return torch.bmm(torch.baddbmm(mask, q, k.mT, alpha=q.shape[-1] ** -0.5).softmax(-1), v)


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """As ``by_products``, by whatever torch has for the device."""
    return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None], mask[:, None])[:, 0]
