"""Programs of known appetite under ``shosei supervise`` and, within it, GNU ``time -v``: one run, two meters."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from agreement.runs import Card, shosei
from agreement.table import Comparison, Row
from shosei.log import ProcExit, read_log

PEER = "time -v"
MB = 1_000_000
EXIT = 7  # of every program
BLOCK = 512  # bytes; what "File system outputs" counts

# The interpreter's own 10 MB are not in the truths: little beside 800.
ALLOCATION = f"""
import sys, time
kept = b"x" * {800 * MB}
time.sleep(3)
sys.exit({EXIT})
"""
# The file is in the page cache before the program begins.
MAPPED = f"""
import mmap, sys, time
file = open(sys.argv[1], "rb")
mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
read = sum(mapped[place] for place in range(0, len(mapped), 4096))
kept = b"x" * {200 * MB}
time.sleep(3)
sys.exit({EXIT})
"""
TWO_PROCESSES = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; kept = b'x' * {600 * MB}; time.sleep(3)"])
kept = b"x" * {600 * MB}
child.wait()
sys.exit({EXIT})
"""
WORK = f"""
import os, sys, time
end = time.process_time() + 4
while time.process_time() < end:
    pass
with open(sys.argv[1], "wb") as file:
    file.write(b"x" * {100 * MB})
    os.fsync(file.fileno())
time.sleep(4)
sys.exit({EXIT})
"""


def compare() -> Comparison:
    if not (time := shutil.which("time")):
        return Comparison(PEER, not_measured="not installed: apt-get install time")
    with tempfile.TemporaryDirectory() as folder:
        warm, written = Path(folder) / "warm", Path(folder) / "written"
        warm.write_bytes(b"x" * (600 * MB))
        peaks = {
            "an allocation": (_Run(time, ALLOCATION, folder), 800),
            "a warm file and an allocation": (_Run(time, MAPPED, folder, str(warm)), 800),
            "two processes": (_Run(time, TWO_PROCESSES, folder), 1200),
        }
        work = _Run(time, WORK, folder, str(written))
    return Comparison(PEER, [*(_memory(what, run, true) for what, (run, true) in peaks.items()), *_work_rows(work)])


def _memory(what: str, run: _Run, true_mb: int) -> Row:
    peers = run.told("Maximum resident set size (kbytes)") * 1024 / MB
    return Row("", f"peak memory of {what}", _mb(run.card.value("memory")), peers, true_mb, "MB")


def _mb(size: float | None) -> float | None:
    return None if size is None else size / MB


def _work_rows(run: _Run) -> list[Row]:
    [end] = run.ends
    clock = [float(part) for part in run.words("Elapsed (wall clock) time (h:mm:ss or m:ss)").split(":")]
    elapsed = sum(part * 60**place for place, part in enumerate(reversed(clock)))
    busy = (run.told("User time (seconds)") + run.told("System time (seconds)")) / elapsed
    cores = run.card.cell("gpu_utilization", "performance.cpu", "command", "cores busy")
    disk = run.card.cell("disk_io", "resources.disk", "written to storage", "bytes")
    written = run.told("File system outputs") * BLOCK / MB
    return [
        Row("", "elapsed", end.duration_ns / 1e9, elapsed, unit="s"),
        Row("", "cores busy", cores, busy),
        Row("", "written to disk", _mb(disk), written, 100, "MB"),
        Row("", "exit code", end.code, run.told("Exit status"), EXIT),
    ]


class _Run:
    """One program, once: what the card and what ``time`` says of it."""

    def __init__(self, time: str, program: str, folder: str, *arguments: str) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            said, run = Path(scratch) / "time.txt", Path(scratch) / "run"
            command = [time, "-v", "-o", str(said), sys.executable, "-S", "-c", program, *arguments]
            supervised = ["supervise", "--run", str(run), "--phase", "inference", "--max-restarts", "0", "--"]
            shosei(*supervised, *command, codes=[EXIT])
            self.card, self.ends = Card(run), read_log(run / "log").of(ProcExit)
            self._said = said.read_text()

    def words(self, name: str) -> str:
        """What follows a name of ``time``'s report."""
        found = re.search(rf"{re.escape(name)}: (.*)", self._said)
        if not found:
            raise SystemExit(f"time -v says nothing of '{name}'")
        return found[1]

    def told(self, name: str) -> float:
        return float(self.words(name))
