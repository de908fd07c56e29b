"""Threads of torch that wait: how long they keep a core, as OpenMP itself tells it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = "from shosei.openmp import wait_briefly; wait_briefly(); import torch"


@pytest.mark.parametrize(
    ("said", "told"),
    [({}, "GOMP_SPINCOUNT = '10000'"), ({"GOMP_SPINCOUNT": "7"}, "GOMP_SPINCOUNT = '7'")],
)
def test_a_thread_that_waits_sleeps_soon_unless_the_operator_says_otherwise(said: dict[str, str], told: str) -> None:
    pytest.importorskip("torch")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", **said}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    if "GOMP_" not in done.stderr:
        pytest.skip("torch's OpenMP is not GNU's")
    assert told in done.stderr
