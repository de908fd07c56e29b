"""Control groups as each version of the kernel's interface shows them, in files of our own and in real ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shosei.supervise.cgroup import Cgroup
from supervised import eventually, linux, lives

V2 = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\n",
    "memory.current": "1000\n",
    "memory.peak": "5000\n",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n",
    "memory.max": "max\n",
}
V1 = {
    "memory.usage_in_bytes": "1000\n",
    "memory.max_usage_in_bytes": "5000\n",
    "memory.limit_in_bytes": "9223372036\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}


@pytest.mark.parametrize(
    ("files", "limit", "cpu_ns"), [(V2, "memory.max", 1_500_000_000), (V1, "memory.limit_in_bytes", None)]
)
def test_both_versions_tell_the_same(tmp_path: Path, files: dict[str, str], limit: str, cpu_ns: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "cgroup.procs").write_text("12\n7\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "cgroup.procs").write_text("9\n")
    group = Cgroup([tmp_path])
    assert (group.memory_bytes(), group.peak_bytes(), group.oom_kills(), group.cpu_ns()) == (1000, 5000, 2, cpu_ns)
    assert group.pids() == [7, 9, 12]
    assert group.limit_memory(77)
    assert (tmp_path / limit).read_text() == "77"


def test_a_group_without_the_memory_controller_knows_no_memory(tmp_path: Path) -> None:
    group = Cgroup([tmp_path])
    assert (group.memory_bytes(), group.peak_bytes(), group.oom_kills()) == (None, None, 0)
    assert not group.limit_memory(77)


@linux
def test_whoever_is_in_it_ends_with_it() -> None:
    group = Cgroup.create("shosei-test")
    if not group:
        pytest.skip("no rights to make a control group")
    words = " && ".join(f"echo $$ > {folder}/cgroup.procs" for folder in group.folders)
    with subprocess.Popen(["sh", "-c", f"{words} || exit; setsid sleep 600 & exec sleep 600"]) as shell:
        try:
            assert eventually(lambda: len(group.pids()) == 2)
            pids = group.pids()
            group.kill()
            assert not any(map(lives, pids))
            group.remove()
            assert not any(folder.exists() for folder in group.folders)
        finally:
            shell.kill()
