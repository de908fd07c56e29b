"""What computes a step of the engine."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from shosei.engine.batch import Batch
from shosei.engine.cache import PagedCache


class Runner(Protocol):
    """A model beside its cache."""

    cache: PagedCache

    def logits(self, batch: Batch) -> Tensor:
        """Store the keys and values of all rows of ``batch``, then have each attend to its sequence up to itself.

        Returns the logits after the wanted rows, (W, V) on the cache's device, which the caller may change. A row's do
        not depend on the other sequences of the batch, up to rounding.
        """
