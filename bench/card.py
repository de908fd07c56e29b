"""How long a card over many requests takes, and how much memory: ``python bench/card.py [REQUESTS …]``.

For each count (300,000 unless given): a log of a load's requests in a temporary run folder, then ``shosei card`` as a
process of its own. Prints wall time, peak memory and the size of the log.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from shosei.log import Request, RunBegin, RunEnd, Window, open_run
from shosei.log.writer import Writer

SECOND = 10**9
RATE = 100.0  # requests offered per second


def main() -> None:
    for count in [int(argument) for argument in sys.argv[1:]] or [300_000]:
        with tempfile.TemporaryDirectory() as scratch:
            run = Path(scratch) / "run"
            write(run, count)
            size = sum(file.stat().st_size for file in (run / "log").iterdir())
            seconds, peak = card(run)
            print(f"{count:,} requests, {size / 1e6:.0f} MB of log: {seconds:.1f} s, {peak / 1e6:.0f} MB", flush=True)


def write(run: Path, count: int) -> None:
    """A load of ``count`` streamed requests with log-normal times, half a per cent of them failed."""
    draw = np.random.default_rng(1)
    arrivals = np.cumsum(draw.exponential(1 / RATE, count))
    first = draw.lognormal(-2.5, 0.5, count)
    whole = first + draw.lognormal(-1.5, 0.7, count)
    tokens = draw.integers(1, 64, count)
    failed = draw.random(count) < 0.005
    folder = open_run(run, must_exist=False)
    start = time.monotonic_ns()
    end = start + int((arrivals[-1] + 1) * SECOND)
    with contextlib.closing(Writer(folder.log, "bench", 1)) as writer:
        writer.emit(RunBegin(verb="load", argv=["shosei", "load"], arrival="poisson", phase="inference"))
        for place in range(count):
            due = start + int(arrivals[place] * SECOND)
            writer.emit(
                Request(
                    id=f"r{place}",
                    purpose="load",
                    seen_by="client",
                    phase="inference",
                    scheduled_ns=due,
                    stream=True,
                    sent_ns=due + 50_000,
                    first_byte_ns=due + 90_000,
                    first_token_ns=due + int(first[place] * SECOND),
                    done_ns=due + int(whole[place] * SECOND),
                    status=500 if failed[place] else 200,
                    error="5xx" if failed[place] else "",
                    tokens_in=20,
                    tokens_out=int(tokens[place]),
                    bytes_sent=300,
                    bytes_received=900,
                    longest_gap_ns=30_000_000,
                )
            )
        writer.emit(Window(name="steady", phase="inference", begin_ns=start, end_ns=end))
        writer.emit(RunEnd(verb="load", exit_code=0))


def card(run: Path) -> tuple[float, float]:
    """Seconds and peak bytes of ``shosei card``."""
    begin = time.monotonic()
    with subprocess.Popen([sys.executable, "-m", "shosei", "card", str(run)], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    return time.monotonic() - begin, usage.ru_maxrss * 1024


if __name__ == "__main__":
    main()
