"""The memory of a training: what a step frees is kept for the next one, and activations may be computed again."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import partial

from torch.utils.checkpoint import checkpoint

from shosei.model.transformer import Transformer

# glibc's malloc, from malloc.h: parameter and value. By default a large block is mapped and given back at each use, and
# the kernel zeroes it page by page every time.
_MMAP_MAX = (-4, 0)
_TRIM_THRESHOLD = (-1, -1)  # never
_TOP_PAD = (-2, 1 << 28)  # bytes to grow by; what is not touched takes no memory


def keep_freed_memory() -> bool:
    """Have this process map no large blocks and give none back to the kernel before it ends; whether it does so.

    Not with another C library, nor where the environment has settings for malloc, which are the user's.
    """
    theirs = any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    if theirs or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(*setting) for setting in (_MMAP_MAX, _TRIM_THRESHOLD, _TOP_PAD))


def recompute_blocks(model: Transformer) -> None:
    """Keep each block's input alone; what its backward pass needs beside that is computed again then.

    Chen et al. 2016, arXiv 1604.06174. Gradients stay the same, and so does the model where none are wanted.
    """
    for block in model.layers:
        # A partial, not a closure: a copy of the block then recomputes its own layers, not the original's. There is no
        # dropout, so no random state to preserve.
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)
