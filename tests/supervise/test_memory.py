"""Peak memory of commands whose memory is known, whatever the page cache holds before they start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shosei.metrics.resources.memory import memory
from shosei.supervise.cgroup import Cgroup
from supervised import MB, linux, python, samples, supervise

pytestmark = linux

# Maps the weights and touches every page, holds memory of its own, and says how high its resident set came.
MAPPED = """
import mmap, sys, time
with open(sys.argv[1], "rb") as file: weights = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
touched = sum(weights[place] for place in range(0, len(weights), 4096))
own = bytearray(50_000_000)
own[::4096] = bytes(len(own[::4096]))
time.sleep(0.5)
"""


@pytest.mark.parametrize("interval_s", [0.1, 1.0])
@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_mapped_weights_count_whoever_read_them_first(tmp_path: Path, cache: str, interval_s: float) -> None:
    """300 MB mapped and 50 MB of its own; a fresh group's peak alone is 54 MB where the file is warm."""
    weights = tmp_path / "weights"
    weights.write_bytes(os.urandom(MB) * 300)
    with weights.open("rb") as file:
        os.fsync(file.fileno())
        advice = os.POSIX_FADV_DONTNEED if cache == "cold" else os.POSIX_FADV_WILLNEED
        os.posix_fadvise(file.fileno(), 0, 0, advice)
    _, log = supervise(tmp_path / "run", python("server", MAPPED, weights), interval_s=interval_s)
    assert memory(log).value == pytest.approx(357 * MB, rel=0.05)


def test_a_short_run_without_a_control_group_is_read_at_its_height(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It grows in ten steps within a second, far less than a reading of PSS has to pay for."""
    monkeypatch.setattr(Cgroup, "create", lambda _name: None)
    program = "import time; held = []\nfor _ in range(10): held.append(b'x' * 30_000_000); time.sleep(0.1)"
    _, log = supervise(tmp_path / "run", python("growing", program))
    assert max(s.pss_bytes or 0 for s in samples(log, "growing")) == pytest.approx(310 * MB, rel=0.12)
    value = memory(log)
    assert value.detail == "resources.peak_pss"
    assert value.figures["high_water"].value == pytest.approx(310 * MB, rel=0.05)
