"""What computes a step of the engine."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from shosei.engine.attention import PagedAttention
from shosei.engine.batch import Batch
from shosei.engine.cache import PagedCache
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec


class Runner(Protocol):
    """A model beside its cache."""

    cache: PagedCache

    def logits(self, batch: Batch) -> Tensor:
        """Store the keys and values of all rows of ``batch``, then have each attend to its sequence up to itself.

        Returns the logits after the wanted rows, (W, V) on the cache's device, which the caller may change until the
        next step. A row's do not depend on the other sequences of the batch, up to rounding.
        """


class StepModel(Protocol):
    """A model that computes a whole step by itself, over keys and values in bfloat16 on the CPU."""

    def logits(self, batch: Batch, cache: PagedCache) -> Tensor:
        """As ``Runner`` has it."""


def runner_of(model: Transformer | StepModel, spec: ModelSpec, blocks: int) -> Runner:
    """``model`` beside a cache of so many blocks."""
    if isinstance(model, torch.nn.Module):
        return TorchRunner(model, PagedCache(spec, blocks, like=model.norm.weight))
    return StepRunner(model, PagedCache(spec, blocks, like=torch.empty(0, dtype=torch.bfloat16)))


class TorchRunner:
    """Any ``Transformer``, on any device; its weights are read as they are at each step."""

    def __init__(self, model: Transformer, cache: PagedCache) -> None:
        self._model, self.cache = model, cache

    def logits(self, batch: Batch) -> Tensor:
        """As ``Runner`` has it."""
        device = self.cache.k.device
        attention = PagedAttention(self.cache, batch)
        hidden = self._model(batch.tokens[None].to(device), attention, batch.wanted.to(device))
        return self._model.logits(hidden)


class StepRunner:
    """A ``StepModel``."""

    def __init__(self, model: StepModel, cache: PagedCache) -> None:
        self._model, self.cache = model, cache

    def logits(self, batch: Batch) -> Tensor:
        """As ``Runner`` has it."""
        return self._model.logits(batch, self.cache)
