"""How the threads that torch computes with, OpenMP's, wait for each other."""

from __future__ import annotations

import os

_TURNS = "10000"  # a quarter of a millisecond: longer than from one step of a model to the next


def wait_briefly() -> None:
    """Have a thread with nothing to do look for work for a quarter of a millisecond, then sleep, unless the operator
    has said. Takes effect before torch is imported.

    GNU's OpenMP looks for milliseconds. Where another process wants the core, that is time the other threads need:
    torch's products of one row beside busy processes took two to four times as long.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _TURNS)
