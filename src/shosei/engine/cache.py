"""Keys and values of all sequences, in blocks of tokens that one sequence or several may refer to."""

from __future__ import annotations

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
        """Memory is zeroed and therefore taken by the system only as blocks are first written."""
        shape = (spec.n_layers, spec.n_kv_heads, blocks, BLOCK_TOKENS, spec.head_dim)
        # A head's blocks lie one behind the other: a run of them is one matrix without being copied.
        # Zeros, not just any memory: masked positions count as 0 · v, and 0 · NaN is NaN.
        self.k, self.v = (torch.zeros(shape, dtype=like.dtype, device=like.device).transpose(1, 2) for _ in "kv")


class SlotCache:
    """One slot a sequence, padded to ``max_length`` tokens. Running sequences stand in the first slots, without gaps,
    so that a step reads views and copies nothing. Meets ``model.transformer.Cache``.

    Call ``begin_prefill`` or ``begin_decode`` before each pass of the model.
    """

    def __init__(self, spec: ModelSpec, slots: int, max_length: int, like: Tensor) -> None:
        """Memory: two tensors (layers, slots, KV, max_length, head_dim) of ``like``'s type, on its device."""
        shape = (spec.n_layers, slots, spec.n_kv_heads, max_length, spec.head_dim)
        # Zeros, not just any memory: masked positions count as 0 · v, and 0 · NaN is NaN.
        self._k, self._v = like.new_zeros(shape), like.new_zeros(shape)

    def begin_prefill(self, first: int, count: int, length: int) -> None:
        """The next tokens are whole prompts, (count, length) right-padded, for slots ``first`` and on."""
        positions = torch.arange(length, device=self._k.device).expand(count, length)
        self._begin(slice(first, first + count), positions, length, mask=None)

    def begin_decode(self, lengths: list[int]) -> None:
        """The next tokens are one for each of the first slots, which hold ``lengths`` tokens so far."""
        positions = torch.tensor(lengths, device=self._k.device)[:, None]
        end = max(lengths) + 1
        hidden = torch.arange(end, device=self._k.device) > positions
        mask = self._k.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)[:, None, None]
        self._begin(slice(len(lengths)), positions, end, mask)

    def _begin(self, slots: slice, positions: Tensor, end: int, mask: Tensor | None) -> None:
        self.positions = positions
        self._slots, self._end, self._mask = slots, end, mask
        self._new = torch.arange(len(positions), device=positions.device)[:, None], positions

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        keys, values = self._k[layer, self._slots], self._v[layer, self._slots]
        # Not scatter_: that copies all of what it writes into, here the whole contexts of the slots.
        keys.transpose(1, 2)[self._new] = k.transpose(1, 2)
        values.transpose(1, 2)[self._new] = v.transpose(1, 2)
        return keys[:, :, : self._end], values[:, :, : self._end], self._mask

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of slot ``source`` over slot ``target``."""
        for store in (self._k, self._v):
            store[:, target, :, :length] = store[:, source, :, :length]
