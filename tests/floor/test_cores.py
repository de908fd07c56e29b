"""Processors that may be used: those of the affinity, and what quotas of control groups leave of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shosei import cores
from shosei.cores import usable_cores


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"a": {}}, 8),
        ({"a": {"cpu.max": "max 100000\n"}}, 8),
        ({"a": {"cpu.max": "200000 100000\n"}}, 2),
        ({"a": {"cpu.max": "150000 100000\n"}}, 2),
        ({"a": {"cpu.max": "5000 100000\n"}}, 1),
        ({"a": {"cpu.max": "6400000 100000\n"}}, 8),
        ({"up": {"cpu.max": "300000 100000\n"}, "up/a": {"cpu.max": "max 100000\n"}}, 3),  # on all around it
        ({"a": {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}}, 8),  # v1
        ({"a": {"cpu.cfs_quota_us": "250000\n", "cpu.cfs_period_us": "50000\n"}}, 5),
        ({"a": {"cpu.max": "torn\n"}}, 8),
    ],
)
def test_a_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: dict[str, dict[str, str]], expected: int
) -> None:
    for name, files in groups.items():
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        for file, text in ({"cgroup.procs": ""} | files).items():
            (tmp_path / name / file).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "own_cgroups", lambda controller: [tmp_path / [*groups][-1]])
    assert usable_cores() == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_a_process_that_is_bound_to_one_core_has_one() -> None:
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    program += "from shosei.cores import usable_cores; print(usable_cores())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "1\n"
