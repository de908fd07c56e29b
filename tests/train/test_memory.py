"""What a step frees stays in the process, unless its user has settings of their own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

BLOCK, TURNS = 64 << 20, 8
FAULTS = f"""
import resource
from shosei.train.memory import keep_freed_memory
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
keeps = keep_freed_memory()
bytearray({BLOCK})
before = faults()
for _ in range({TURNS}):
    bytearray({BLOCK})
print(keeps, faults() - before)
"""


def keeps_and_faults(**variables: str) -> tuple[str, int]:
    """Whether freed memory is kept, and how many pages were mapped anew when blocks were taken again."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env=plain | variables, check=True, capture_output=True, text=True
    )
    keeps, faults = done.stdout.split()
    return keeps, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_is_mapped_once_unless_the_user_decides_otherwise() -> None:
    keeps, kept = keeps_and_faults()
    theirs, mapped_anew = keeps_and_faults(MALLOC_MMAP_THRESHOLD_=str(1 << 20))
    assert (keeps, theirs) == ("True", "False")
    assert 100 * kept < mapped_anew
