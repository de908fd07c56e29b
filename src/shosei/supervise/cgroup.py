"""A control group for each start of a command: who is in it stays in it, and ends with it (Linux, v1 and v2)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from shosei.proc import own_cgroups, read

_EMPTY_S = 2.0  # for the kernel to end processes that are killed
_GONE_S = 0.2  # for one that has ended to leave its group
_CURRENT = ("memory.current", "memory.usage_in_bytes")  # v2, v1
_PEAK = ("memory.peak", "memory.max_usage_in_bytes")
_LIMIT = ("memory.max", "memory.limit_in_bytes")
_EVENTS = ("memory.events", "memory.oom_control")


class Cgroup:
    """One group in ``folders``: of the unified hierarchy (v2) and of the memory controller's own (v1), as there are.

    It lies below our own group, so every limit that holds for us holds for it.
    """

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders

    @classmethod
    def create(cls, name: str) -> Cgroup | None:
        """A new group below ours; None where none can be made, without the rights or off Linux."""
        made = []
        for own in own_cgroups():
            with contextlib.suppress(OSError):
                (own / name).mkdir()
                made.append(own / name)
                # A group that holds processes cannot pass a controller on, except the root; it still groups and kills.
                with contextlib.suppress(OSError):
                    (own / "cgroup.subtree_control").write_text("+memory")
        return cls(made) if made else None

    def doors(self) -> list[int]:
        """File descriptors; a process that writes ``0`` to each of them has joined. The caller closes them."""
        return [os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for folder in self.folders]

    def pids(self) -> list[int]:
        """The processes in it and in groups that they have made below it, ascending; without zombies."""
        found: set[int] = set()
        for folder in _with_subgroups(self.folders[0]):
            found.update(map(int, read(f"{folder}/cgroup.procs").split()))
        return sorted(found)

    def cpu_ns(self) -> int | None:
        """CPU time of all that were ever in it, the ended ones too; v2 only."""
        return _entry(read(f"{self.folders[0]}/cpu.stat"), b"usage_usec", 1000)

    def memory_bytes(self) -> int | None:
        """Memory in use, page cache included; None where the group has no memory controller."""
        return self._number(_CURRENT)

    def peak_bytes(self) -> int | None:
        """The highest ``memory_bytes`` so far, kept by the kernel."""
        return self._number(_PEAK)

    def oom_kills(self) -> int:
        """Processes of the group that the kernel has killed for want of memory."""
        files = (read(f"{folder}/{name}") for folder in self.folders for name in _EVENTS)
        return sum(_entry(text, b"oom_kill") or 0 for text in files)

    def limit_memory(self, size: int) -> bool:
        """Set the limit, in bytes; return whether that was possible."""
        for path in (folder / name for folder in self.folders for name in _LIMIT):
            if path.exists():
                with contextlib.suppress(OSError):
                    path.write_text(str(size))
                    return True
        return False

    def kill(self) -> None:
        """End all processes in it, also those that have left their parent, group and session."""
        deadline = time.monotonic() + _EMPTY_S
        while (left := self.pids()) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)

    def remove(self) -> None:
        """Remove the group. One that still holds a process after a moment stays."""
        deadline = time.monotonic() + _GONE_S
        while True:
            for folder in self.folders:
                for subgroup in reversed(list(_with_subgroups(folder))):
                    with contextlib.suppress(OSError):
                        subgroup.rmdir()
            if not any(folder.exists() for folder in self.folders) or time.monotonic() > deadline:
                return
            time.sleep(0.001)

    def _number(self, names: tuple[str, ...]) -> int | None:
        texts = (read(f"{folder}/{name}") for folder in self.folders for name in names)
        return next((int(text) for text in texts if text), None)


def _with_subgroups(folder: Path) -> Iterator[Path]:
    yield folder
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _with_subgroups(Path(entry.path))


def _entry(text: bytes, name: bytes, scale: int = 1) -> int | None:
    """The number beside ``name`` in ``name number`` lines."""
    for line in text.splitlines():
        key, _, value = line.partition(b" ")
        if key == name:
            return int(value) * scale
    return None
