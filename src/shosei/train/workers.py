"""Threads that learn side by side, each from a share of the batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import torch

from shosei.model import device
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec
from shosei.train import ranks

T = TypeVar("T")

# Up to this many parameters a product is too small to divide: two threads that share each one wait for each other
# hundreds of times a step, and spin meanwhile. Above it a gradient for each thread would also be much memory.
_MOST_PARAMS = 1 << 24
_MOST_WORKERS = 8  # batches of long rows have no more rows than that


class Threads(msgspec.Struct, frozen=True):
    """Compute threads in all, and the workers that have an equal number of them each. Sums are added up in an order
    that depends on both, so that a training keeps to them to the end, on whatever machine it goes on."""

    total: int
    workers: int


def choose_threads(spec: ModelSpec, total: int) -> Threads:
    """How ``spec`` is trained with at most ``total`` compute threads: by one worker that has all, or by one each."""
    if spec.params > _MOST_PARAMS or ranks.count() > 1 or device.choose().type != "cpu":
        return Threads(total, 1)
    workers = min(total, _MOST_WORKERS)
    return Threads(workers, workers)


class Workers:
    """Threads of Python that learn side by side; one worker alone is the calling thread.

    ``models[n]`` is what worker n computes with: the weights are shared, the gradients its own.
    """

    def __init__(self, model: Transformer, threads: Threads) -> None:
        self.count = threads.workers
        self.models = [model, *(_sharing_weights(model) for _ in range(self.count - 1))]
        each = max(1, threads.total // self.count)
        torch.set_num_threads(each)
        self._pool = (
            ThreadPoolExecutor(self.count, "worker", torch.set_num_threads, (each,)) if self.count > 1 else None
        )

    def map(self, function: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
        """``function`` of each set of arguments, computed side by side; the results in order."""
        return list((self._pool.map if self._pool else map)(function, *arguments))

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Make the first model's gradients the sum of all, added in the order of the workers."""
        for model in self.models[1:]:
            for total, part in zip(self.models[0].parameters(), model.parameters(), strict=True):
                if part.grad is not None:
                    total.grad = part.grad if total.grad is None else total.grad.add_(part.grad)
                    part.grad = None


def _sharing_weights(model: Transformer) -> Transformer:
    """The same model over the same weights, whose gradients are another's."""
    memo = {id(p): torch.nn.Parameter(p.detach(), p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, memo)
