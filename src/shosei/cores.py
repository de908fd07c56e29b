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
        numbers = read(f"{group}/cpu.max").split()  # v2; the first is "max" where there is no limit, in v1 -1
        numbers = numbers or [read(f"{group}/cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        if len(numbers) == 2 and all(number.isdigit() for number in numbers) and int(numbers[1]):
            yield int(numbers[0]) / int(numbers[1])
