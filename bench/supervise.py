"""What supervision costs: CPU time of ``shosei supervise`` at one sample a second, as a share of one core.

python bench/supervise.py [SECONDS]    The tree has four processes of 300 MB; the machine is filled up to 300 processes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shosei.log import Sample, read_log

PROCESSES = 300
WORKER = "import sys, time; held = bytearray(300_000_000); time.sleep(float(sys.argv[1]))"
TREE = (
    "import subprocess, sys; workers = [subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2]])"
    " for _ in range(3)]; exec(sys.argv[1].replace('argv[1]', 'argv[2]')); [worker.wait() for worker in workers]"
)


@contextlib.contextmanager
def crowd() -> Iterator[None]:
    """Idle processes, until the machine has ``PROCESSES``."""
    missing = PROCESSES - sum(entry.isdigit() for entry in os.listdir("/proc"))
    idle = [subprocess.Popen(["sleep", "3600"]) for _ in range(missing)]
    try:
        yield
    finally:
        for process in idle:
            process.kill()
            process.wait()


def main(seconds: float) -> None:
    with crowd(), tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", TREE, WORKER, str(seconds)]
        subprocess.run([sys.executable, "-m", "shosei", "supervise", "--run", folder, "--", *command], check=True)
        samples = read_log(Path(folder) / "log").of(Sample)
    own = [(sample.mono_ns, sample.cpu_ns or 0) for sample in samples if sample.scope == "self"]
    (begin, before), (end, after) = own[0], own[-1]
    trees = [sample for sample in samples if sample.scope == "tree"]
    grouped = any(sample.scope == "cgroup" for sample in samples)
    print(f"control group with memory: {grouped}; start-up before the command {before / 1e9:.2f} s of CPU")
    print(f"while it ran: {(after - before) / (end - begin):.2%} of a core over {(end - begin) / 1e9:.0f} s")
    print(f"RSS read {len(trees)} times, PSS {sum(tree.pss_bytes is not None for tree in trees)} times")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
