"""The processes that train one model together, a device each, as torchrun starts them; one alone is rank 0 of 1."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from shosei.errors import Terminated
from shosei.model import device

T = TypeVar("T")

# How long a rank waits for another: longer than rank 0 takes to validate, or to write a checkpoint.
_TIMEOUT = timedelta(minutes=30)
_LAST_WORDS_S = 2.0


@contextmanager
def joined() -> Iterator[None]:
    """Be one of torchrun's ranks for the length of the block; without torchrun, or with one rank, nothing happens.

    Raises Terminated where another rank ended before its time: torchrun then ends all of them.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    chosen = device.choose()
    if chosen.index is not None:
        torch.accelerator.set_device_index(chosen)
    store, number, size = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
    # Where torchrun starts all ranks again, gloo would find the addresses of those before and wait for them.
    store = dist.PrefixStore(f"start {_starts()}", store)  # type: ignore[attr-defined]
    dist.init_process_group(store=store, rank=number, world_size=size, timeout=_TIMEOUT)
    try:
        yield
    except RuntimeError as error:
        if not str(error).partition("Connection ")[2].startswith(("reset by peer", "closed by peer")):
            raise
        print("shosei: another rank is gone; its own last words tell why", file=sys.stderr)
        time.sleep(_LAST_WORDS_S)  # torchrun takes the first end that it sees for the cause of all
        raise Terminated from None
    finally:
        dist.destroy_process_group()


def started_again() -> bool:
    """Whether torchrun itself started this process again, after a failure, in the course of one training."""
    return _starts() > 0


def _starts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def wait() -> None:
    """Until every rank is here."""
    if dist.is_initialized():
        dist.barrier()


def total(value: Tensor) -> Tensor:
    """The sum of the ranks' values, on each of them."""
    if dist.is_initialized():
        dist.all_reduce(value)
    return value


def of_first(value: T) -> T:
    """Rank 0's value, on each rank."""
    if not dist.is_initialized():
        return value
    box: list[Any] = [value]
    dist.broadcast_object_list(box)
    return box[0]  # type: ignore[no-any-return]
