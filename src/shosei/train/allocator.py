"""glibc's malloc, told to keep what a step frees for the next one."""

from __future__ import annotations

import ctypes
import os
import platform

# From malloc.h: parameter and value. By default a large block is mapped and given back at each use, and the kernel
# zeroes it page by page every time.
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
