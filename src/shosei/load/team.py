"""Worker processes that share a load: each draws its part of the same schedule and writes a log segment of its own.

A worker reads two lines of JSON from its standard input, its ``Order`` and then the ``Stage``, and writes lines to its
standard output: an empty one when it is ready, then ``Report``s.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from shosei.config import validate
from shosei.errors import MeasurementInvalid
from shosei.lineage import PARENT_VARIABLE
from shosei.load.config import LoadConfig
from shosei.load.share import Share
from shosei.load.stage import Stage
from shosei.load.tally import Tally, TallyIncrement
from shosei.load.watch import ClientVerdict
from shosei.log import Writer

_REPORT_S = 1.0
_LINE_LIMIT = 1 << 26  # bytes; a report holds the latencies of a second


class Order(msgspec.Struct):
    """What a worker is to do, and where it writes."""

    config: dict[str, Any]
    url: str
    worker: int
    log: str
    run: str
    attempt: int
    phase: str


class Report(msgspec.Struct):
    """How far a worker is, with its verdict once its steady window has ended; ``dropped``: events not written."""

    increment: TallyIncrement
    verdict: ClientVerdict | None = None
    dropped: int = 0


class Team:
    """``config.workers`` processes, started and ready for the length of the block."""

    def __init__(self, config: LoadConfig, url: str, writer: Writer, tally: Tally) -> None:
        self._config, self._url, self._writer, self._tally = config, url, writer, tally
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Team:
        try:
            for worker in range(self._config.workers):
                self._processes.append(await self._start(worker))
            for process in self._processes:
                assert process.stdout
                if await process.stdout.readline() != b"\n":
                    raise MeasurementInvalid(f"a worker of the load did not start (exit code {await process.wait()})")
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def send(self, stage: Stage, watched: Callable[[ClientVerdict], None]) -> None:
        """As a ``Share``'s; the load is client-bound where one of the workers is."""
        verdicts: list[ClientVerdict] = []

        async def follow(process: asyncio.subprocess.Process) -> None:
            assert process.stdin
            assert process.stdout
            process.stdin.write(msgspec.json.encode(stage) + b"\n")
            async for line in process.stdout:
                report = msgspec.json.decode(line, type=Report)
                self._tally.merge(report.increment)
                self._tally.dropped += report.dropped
                if report.verdict:
                    verdicts.append(report.verdict)
                    if len(verdicts) == len(self._processes):
                        close()
            if code := await process.wait():
                raise MeasurementInvalid(f"a worker of the load ended with exit code {code}: the rest is incomplete")

        def close() -> None:
            watched(max(verdicts, key=lambda verdict: verdict.limit is not None, default=ClientVerdict()))

        try:
            async with asyncio.TaskGroup() as group:
                for process in self._processes:
                    group.create_task(follow(process))
        except* MeasurementInvalid as errors:
            raise errors.exceptions[0] from None
        finally:
            if len(verdicts) < len(self._processes):
                close()

    async def _start(self, worker: int) -> asyncio.subprocess.Process:
        writer = self._writer
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "shosei",
            "load-worker",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=_LINE_LIMIT,
            env=os.environ | {PARENT_VARIABLE: str(os.getpid())},
        )
        order = Order(
            self._config.model_dump(mode="json"),
            self._url,
            worker,
            str(writer.path.parent),
            writer.run,
            writer.attempt,
            writer.phase,
        )
        assert process.stdin
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        return process

    async def _end(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.terminate()
        for process in self._processes:
            await process.wait()


async def work() -> int:
    """Be a worker, to the end of the load. Returns how many events could not be written."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    tally, writer = Tally(), Writer(Path(order.log), order.run, order.attempt, order.phase)
    share = Share(validate(LoadConfig, order.config, "load"), order.url, writer, tally, order.worker)
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
    stage = msgspec.json.decode(await asyncio.to_thread(sys.stdin.buffer.readline), type=Stage)

    def tell(report: Report) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()

    async def report_regularly() -> None:
        while True:
            await asyncio.sleep(_REPORT_S)
            tell(Report(tally.take()))

    reporting = asyncio.create_task(report_regularly())
    try:
        await share.send(stage, lambda verdict: tell(Report(tally.take(), verdict)))
    finally:
        reporting.cancel()
        writer.close()
        tell(Report(tally.take(), dropped=writer.dropped))
    return writer.dropped
