"""The client's watch on itself: a client that is too busy measures its own delays, not the server's."""

from __future__ import annotations

import asyncio
import itertools
import time

import msgspec
import numpy as np

from shosei.log import ClientLimit, Note, Sample, Writer
from shosei.proc import read
from shosei.quantity import NS_PER_S

LAG_LIMIT_MS = 50.0
CPU_LIMIT = 0.9  # of one core: the event loop has no more
_PERIOD_S = 0.02
_SAMPLE_S = 1.0


class ClientVerdict(msgspec.Struct, frozen=True):
    """How the client did, in one line, and what it lacked, if anything."""

    line: str = ""
    limit: ClientLimit | None = None


class Watch:
    """While open, from ``begin_ns`` on, it writes ``sample``s of the client's own CPU time; at the end, a ``note``.

    The text of that note is the line of its ``verdict`` on the client.
    """

    verdict = ClientVerdict()

    def __init__(self, writer: Writer, begin_ns: int = 0) -> None:
        self._writer, self._begin_ns = writer, begin_ns
        self._lags_s: list[float] = []
        self._cpu: list[tuple[int, int]] = []  # when, and the CPU time wanted until then, in nanoseconds

    async def __aenter__(self) -> Watch:
        self._tasks = [asyncio.create_task(self._measure_lag()), asyncio.create_task(self._sample())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        self._read_cpu()
        self.verdict = self.judge(self._lags_s, self._busiest())
        self._writer.emit(Note(level="info", text=self.verdict.line))

    @staticmethod
    def judge(lags_s: list[float], cpu: float) -> ClientVerdict:
        """The client lacks time if its event loop was late (p99) or the process short of CPU."""
        lag_ms = float(np.percentile(lags_s, 99)) * 1000 if lags_s else 0.0
        bound = lag_ms > LAG_LIMIT_MS or cpu > CPU_LIMIT
        line = (
            f"load client{' is client-bound' if bound else ''}: event-loop lag p99 {lag_ms:.1f} ms "
            f"(limit {LAG_LIMIT_MS:g} ms), CPU wanted {cpu:.0%} of one core (limit {CPU_LIMIT:.0%})"
        )
        if not bound:
            return ClientVerdict(line)
        remedy = "this machine was too busy: fewer requests a second, or the client on another machine"
        return ClientVerdict(f"{line}; {remedy}", ClientLimit("time", lag_ms, cpu))

    def _busiest(self) -> float:
        """CPU wanted, in cores, by the second: the 90th percentile, because a ramp may be too much only at its end."""
        spans = [(after - before, b - a) for (before, a), (after, b) in itertools.pairwise(self._cpu)]
        whole = [cpu / span for span, cpu in spans if span > NS_PER_S // 2] or [
            cpu / max(1, span) for span, cpu in spans
        ]
        return float(np.percentile(whole, 90)) if whole else 0.0

    async def _measure_lag(self) -> None:
        await self._wait()
        while True:
            due = time.monotonic() + _PERIOD_S
            await asyncio.sleep(_PERIOD_S)
            self._lags_s.append(time.monotonic() - due)

    async def _sample(self) -> None:
        await self._wait()
        while True:
            self._read_cpu()
            await asyncio.sleep(_SAMPLE_S)

    async def _wait(self) -> None:
        await asyncio.sleep(max(0.0, (self._begin_ns - time.monotonic_ns()) / NS_PER_S))

    def _read_cpu(self) -> None:
        cpu_ns = time.process_time_ns()
        self._cpu.append((time.monotonic_ns(), cpu_ns + _waited_for_cpu_ns()))
        self._writer.emit(Sample(scope="self", name="load", cpu_ns=cpu_ns))


def _waited_for_cpu_ns() -> int:
    """How long the main thread was ready to run while others had the core; 0 where the kernel does not tell.

    On a shared core a client that falls behind may show little CPU time of its own.
    """
    _, waited_ns, *_ = read("/proc/self/schedstat").split() or (0, 0)
    return int(waited_ns)
