"""Memory that may be taken: of the machine, and under limits of control groups as both kernel interfaces show them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from shosei import memory, proc
from shosei.memory import available_memory
from shosei.proc import own_cgroups
from shosei.supervise.cgroup import Cgroup
from supervised import linux

GIB = 1 << 30
MOUNTS = """\
30 23 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:27 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:28 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""


@pytest.mark.parametrize(
    ("mounts", "groups", "expected"),
    [
        (MOUNTS, "4:memory:/docker/abc/job\n1:cpu,cpuacct:/x\n0::/user.slice\n", ["unified/user.slice", "memory/job"]),
        (MOUNTS, "4:memory:/elsewhere\n0::/\n", ["unified"]),  # our group is not below what is mounted
        ("33 1 0:28 / /sys/fs/cgroup rw - cgroup2 none rw\n", "0::/a/b\n", ["a/b"]),
        ("", "", []),
    ],
)
def test_our_own_group_is_found_in_every_layout(
    monkeypatch: pytest.MonkeyPatch, mounts: str, groups: str, expected: list[str]
) -> None:
    files = {"/proc/self/mountinfo": mounts, "/proc/self/cgroup": groups}
    monkeypatch.setattr(proc, "read", lambda path: files[path].encode())
    assert own_cgroups() == [Path("/sys/fs/cgroup") / name for name in expected]


def grouped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, groups: dict[str, dict[str, str]], own: str) -> int:
    """The memory available in the group ``own`` of a hierarchy with these files, on a machine that has 8 GiB left."""
    for name, files in groups.items():
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        for file, text in ({"cgroup.procs": ""} | files).items():
            (tmp_path / name / file).write_text(text)
    machine = psutil.virtual_memory()._replace(available=8 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)
    monkeypatch.setattr(memory, "own_cgroups", lambda: [tmp_path / own])
    return available_memory()


def v2(limit: str, used: int, cache: int = 0, **more: str) -> dict[str, str]:
    stat = f"anon {used - cache}\nfile {cache}\nactive_file {cache // 2}\ninactive_file {cache - cache // 2}\n"
    return {"memory.max": f"{limit}\n", "memory.current": f"{used}\n", "memory.stat": stat} | more


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({".": {}, "a": v2("max", GIB)}, 8 * GIB),
        ({".": {}, "a": v2(str(2 * GIB), GIB)}, GIB),
        ({".": {}, "a": v2(str(2 * GIB), 2 * GIB, cache=GIB)}, GIB),  # what files fill is given back
        ({".": {}, "a": v2(str(16 * GIB), GIB)}, 8 * GIB),  # the machine has less
        ({".": {}, "a": v2(str(GIB), 2 * GIB)}, 0),  # the limit was lowered since
        ({".": {}, "a": v2("max", GIB, **{"memory.high": f"{3 * GIB}\n"})}, 2 * GIB),
        ({".": {}, "up": v2(str(4 * GIB), 3 * GIB), "up/a": v2("max", GIB)}, GIB),  # a limit on all around it
        ({".": {}, "a": {}}, 8 * GIB),  # no memory controller here
    ],
)
def test_a_limit_of_the_unified_hierarchy_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: dict[str, dict[str, str]], expected: int
) -> None:
    own = [*groups][-1]
    assert grouped(monkeypatch, tmp_path / "fs", groups, own) == expected


def test_a_limit_of_the_memory_controller_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = f"inactive_file 0\nactive_file 0\ntotal_inactive_file {GIB}\ntotal_active_file {GIB}\n"
    limited = {
        "memory.limit_in_bytes": f"{6 * GIB}\n",
        "memory.usage_in_bytes": f"{5 * GIB}\n",
        "memory.stat": stat,
    }
    unlimited = {"memory.limit_in_bytes": "9223372036854771712\n", "memory.usage_in_bytes": f"{7 * GIB}\n"}
    assert grouped(monkeypatch, tmp_path / "fs", {".": unlimited, "docker": limited}, "docker") == 3 * GIB
    assert grouped(monkeypatch, tmp_path / "fs", {}, ".") == 8 * GIB


@linux
def test_a_process_in_a_limited_group_knows_its_limit() -> None:
    limit = 300 << 20
    group = Cgroup.create("shosei-test-memory")
    if not group:
        pytest.skip("no rights to make a control group")
    try:
        if not group.limit_memory(limit):
            pytest.skip("no memory controller for the group")
        join = "".join(f"echo 0 > {folder}/cgroup.procs; " for folder in group.folders)
        program = "from shosei.memory import available_memory; print(available_memory())"
        asked = ["sh", "-c", f'{join} exec "$0" -c "$1"', sys.executable, program]
        left = int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    finally:
        group.remove()
    assert limit / 2 < left < limit
