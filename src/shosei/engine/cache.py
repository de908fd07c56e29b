"""Keys and values of the running sequences, in one padded tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from shosei.spec import ModelSpec


class SlotCache:
    """One slot a sequence, padded to ``max_length`` tokens. Running sequences stand in the first slots, without gaps,
    so that a step reads views and copies nothing. Meets ``model.transformer.Cache``.
    """

    def __init__(self, spec: ModelSpec, slots: int, max_length: int, like: Tensor) -> None:
        shape = (spec.n_layers, slots, spec.n_kv_heads, max_length, spec.head_dim)
        # Zeros, not just any memory: masked positions count as 0 · v, and 0 · NaN is NaN.
        self._k, self._v = like.new_zeros(shape), like.new_zeros(shape)
        self._mask: Tensor | None = None
        self._slots = slice(0)
        self.positions = torch.empty(0, dtype=torch.int64)

    def begin_prefill(self, first: int, count: int, length: int) -> None:
        """The next tokens are whole prompts, (count, length) right-padded, for slots ``first`` and on."""
        self._slots = slice(first, first + count)
        self.positions = torch.arange(length, device=self._k.device).expand(count, length)
        self._mask = None

    def begin_decode(self, lengths: list[int]) -> None:
        """The next tokens are one for each of the first slots, which hold ``lengths`` tokens so far."""
        self._slots = slice(len(lengths))
        self.positions = torch.tensor(lengths, device=self._k.device)[:, None]
        hidden = torch.arange(max(lengths) + 1, device=self._k.device) > self.positions
        self._mask = self._k.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)[:, None, None]

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        keys, values = self._k[layer, self._slots], self._v[layer, self._slots]
        if self._mask is None:
            end = k.shape[2]
            keys[:, :, :end], values[:, :, :end] = k, v
        else:
            end = self._mask.shape[-1]
            at = (torch.arange(k.shape[0], device=k.device), slice(None), self.positions[:, 0])
            keys[at], values[at] = k[:, :, 0], v[:, :, 0]
        return keys[:, :, :end], values[:, :, :end], self._mask

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of slot ``source`` over slot ``target``."""
        for store in (self._k, self._v):
            store[:, target, :, :length] = store[:, source, :, :length]
