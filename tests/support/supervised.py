"""Commands under a supervisor, in this process or as one of their own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shosei.log import Log, Sample, open_run, read_log
from shosei.supervise import Child, HeartbeatConfig, Supervisor

SHOSEI = Path(sys.executable).with_name("shosei")
MB = 1_000_000
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="meters and parent death are Linux's")


def python(
    name: str, program: str, *arguments: object, phase: str = "training", heartbeat: HeartbeatConfig | None = None
) -> Child:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return Child(name, command, phase=phase, heartbeat=heartbeat or HeartbeatConfig())


def supervise(folder: Path, *children: Child, **options: Any) -> tuple[int, Log]:
    """Run the children to their end; return the exit code and what was logged."""
    run = open_run(folder, must_exist=False)
    settings: dict[str, Any] = {"backoff_s": 0.01, "interval_s": 0.1} | options
    with run.recording("supervise") as record:

        async def supervised() -> int:
            return await Supervisor(record.writer, children, **settings).run()

        record.exit_code = asyncio.run(supervised())
    return record.exit_code, read_log(run.log)


def samples(log: Log, name: str) -> list[Sample]:
    return [sample for sample in log.of(Sample) if sample.scope == "tree" and sample.name == name]


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


@contextmanager
def cli(folder: Path, *command: str, options: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SHOSEI_")}
    argv = [SHOSEI, "supervise", "--run", folder, *options, "--", *command]
    with subprocess.Popen(argv, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def lives(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
