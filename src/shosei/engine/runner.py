"""What computes a step of the engine."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from shosei.engine.attention import PagedAttention
from shosei.engine.batch import Batch
from shosei.engine.cache import PagedCache
from shosei.model.transformer import Transformer


class Runner(Protocol):
    """A model beside its cache."""

    cache: PagedCache

    def logits(self, batch: Batch) -> Tensor:
        """Store the keys and values of all rows of ``batch``, then have each attend to its sequence up to itself.

        Returns the logits after the wanted rows, (W, V) on the cache's device, which the caller may change. A row's do
        not depend on the other sequences of the batch, up to rounding.
        """


class TorchRunner:
    """Any ``Transformer``, on any device; its weights are read as they are at each step."""

    def __init__(self, model: Transformer, cache: PagedCache) -> None:
        self._model, self.cache = model, cache

    def logits(self, batch: Batch) -> Tensor:
        """As ``Runner`` has it."""
        device = self.cache.k.device
        hidden = self._model(batch.tokens[None].to(device), PagedAttention(self.cache, batch), batch.wanted.to(device))
        return self._model.logits(hidden)
