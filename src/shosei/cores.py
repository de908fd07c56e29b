"""Processors that this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from shosei.proc import own_cgroups, read


def usable_cores() -> int:
    """Those that this process may run on; or fewer, where a control group gives it less time than they have: that of a
    container, a unit of systemd or a job. A part of a core counts as one."""
    visible = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for own in own_cgroups("cpu") for quota in _quotas(own)]
    return max(1, min([visible, *map(math.ceil, quotas)]))


def _quotas(own: Path) -> Iterator[float]:
    """Of the group ``own`` and those around it: seconds of all processors together that each has in a second."""
    for group in (own, *own.parents):
        if not (group / "cgroup.procs").exists():  # outside of the hierarchy
            return
        old = read(f"{group}/cpu.cfs_quota_us"), read(f"{group}/cpu.cfs_period_us")  # v1; -1: as much as there is
        quota, period = (*read(f"{group}/cpu.max").split(), *old, b"", b"")[:2]  # v2; max
        if quota.strip().isdigit() and period.strip().isdigit() and int(period):
            yield int(quota) / int(period)
