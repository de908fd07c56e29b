"""Attention of a ragged batch over scattered blocks, by both kernels, beside the definition."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model_samples import reduced
from shosei.engine import attention
from shosei.engine.attention import PagedAttention
from shosei.engine.batch import Batch, Rows
from shosei.engine.cache import PagedCache
from shosei.spec.generation import blocks_of

# New rows of each sequence, and what it had before.
SEQUENCES = [(1, 0), (1, 31), (1, 32), (1, 100), (3, 61), (3, 5), (40, 0), (70, 33)]


def defined(q: Tensor, k: Tensor, v: Tensor, before: int) -> Tensor:
    """Row by row and head by head, in double precision: queries (T, H, D), keys and values (S, KV, D)."""
    out = torch.empty(q.shape, dtype=torch.float64)
    shared = q.shape[1] // k.shape[1]
    for row in range(len(q)):
        for head in range(q.shape[1]):
            seen = slice(before + row + 1)
            scores = k[seen, head // shared].double() @ q[row, head].double() / math.sqrt(q.shape[2])
            out[row, head] = scores.softmax(0) @ v[seen, head // shared].double()
    return out


@pytest.mark.parametrize("kernel", [attention.by_products, attention.fused])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_each_row_attends_to_its_own_sequence_up_to_itself(
    kernel: object, kv_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "by_products", kernel)
    spec = replace(reduced("nano"), n_heads=4, n_kv_heads=kv_heads, head_dim=16)
    torch.manual_seed(0)
    cache = PagedCache(spec, 40, like=torch.empty(0))
    free = list(range(40))
    random.Random(0).shuffle(free)
    tables = [[free.pop() for _ in range(blocks_of(new + before))] for new, before in SEQUENCES]
    keys, values = ([torch.randn(new + before, kv_heads, 16) for new, before in SEQUENCES] for _ in "kv")
    for (_, before), table, k, v in zip(SEQUENCES, tables, keys, values, strict=True):
        for position in range(before):
            cache.k[1, table[position // 32], :, position % 32] = k[position]
            cache.v[1, table[position // 32], :, position % 32] = v[position]
    batch = Batch.of([Rows([0] * new, before, table) for (new, before), table in zip(SEQUENCES, tables, strict=True)])
    q = torch.randn(len(batch.tokens), 4, 16)
    new_k, new_v = (
        torch.cat([of_one[before:] for (_, before), of_one in zip(SEQUENCES, of_all, strict=True)])
        for of_all in (keys, values)
    )
    attended = PagedAttention(cache, batch).attend(1, q, new_k, new_v)
    for number, (_, before) in enumerate(SEQUENCES):
        rows = slice(batch.starts[number], batch.starts[number + 1])
        expected = defined(q[rows], keys[number], values[number], before)
        assert (attended[rows] - expected).abs().max() < 1e-5
    assert not cache.k[0].any()  # another layer's
