"""Threads that round and pack weights while a model is loaded, each a part of a matrix."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import torch


def threads() -> ThreadPoolExecutor:
    """As many threads as torch has, each of which works alone: torch's own meet after every small operation, which
    takes many times as long where something else runs too.

    They stay: the C library keeps some of what a thread has freed, and would keep it of each one that there was.
    """
    return _pool(torch.get_num_threads())


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    pool, all_there = ThreadPoolExecutor(count), Barrier(count)

    def begin(_: int) -> None:
        torch.set_num_threads(1)
        all_there.wait()

    list(pool.map(begin, range(count)))
    torch.set_num_threads(count)  # what a thread has set, threads to come would have too
    return pool
