"""Keeps children running: starts, meters, restarts and stops them, and writes down what became of each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Sequence

from shosei.errors import EXIT_INPUT
from shosei.lineage import PARENT_VARIABLE
from shosei.log import Event, Note, ProcExit, ProcStart, Restart, Sample, Writer
from shosei.log.run import ATTEMPT_VARIABLE, RUN_VARIABLE
from shosei.supervise.classify import classify, exit_code, oom_kills
from shosei.supervise.meters import TreeMeter, scan
from shosei.supervise.process import Child, Process

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs ``children`` until each has finished, one is lost, or it is told to stop.

    A child that fails is started again after ``backoff_s``, doubled each time, at most ``max_restarts`` times. When
    one is lost for good the others are stopped. Children are stopped in reverse order (so list what others depend on
    first), with ``grace_s`` for all of them together before SIGKILL. Samples are taken every ``interval_s``; without a
    ``writer`` nothing is recorded, by the children neither.
    """

    def __init__(
        self,
        writer: Writer | None,
        children: Sequence[Child],
        max_restarts: int = 3,
        backoff_s: float = 0.5,
        interval_s: float = 1.0,
        grace_s: float = 10.0,
    ) -> None:
        self._writer = writer
        self._children = list(children)
        self._max_restarts, self._backoff_s = max_restarts, backoff_s
        self._interval_s, self._grace_s = interval_s, grace_s
        self._meters = {child.name: TreeMeter(child.name, child.phase) for child in children}
        self._running: dict[str, Process] = {}
        self._stopping = asyncio.Event()
        self._stop_signal: int = signal.SIGTERM
        self._lost: int | None = None
        # The reading before the last one too: a kill may come just before a reading, and be seen just after it.
        self._oom_kills = [oom_kills()] * 2

    async def run(self) -> int:
        """Supervise; call it in the main thread. Return the lost child's exit code, or else the first that is not 0.

        A death by signal counts as 128 + signal. SIGTERM, SIGINT and SIGHUP are passed on to the children.
        """
        loop = asyncio.get_running_loop()
        for signum in _FORWARDED:
            loop.add_signal_handler(signum, self.stop, signum)
        self._sample_self()
        keepers = {child.name: asyncio.create_task(self._keep(child)) for child in self._children}
        helpers = [asyncio.create_task(self._sample_regularly()), asyncio.create_task(self._stop_in_order(keepers))]
        try:
            codes = await asyncio.gather(*keepers.values())
        finally:
            for task in (*helpers, *keepers.values()):
                task.cancel()
            for process in self._running.values():
                process.reap()
            for signum in _FORWARDED:
                loop.remove_signal_handler(signum)
            self._sample_self()
        return self._lost if self._lost is not None else next((code for code in codes if code), 0)

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """Pass ``signum`` on to the children and end ``run`` when they have ended."""
        if not self._stopping.is_set():
            self._stop_signal = signum
            self._stopping.set()

    @property
    def lost(self) -> bool:
        """Whether a child failed for good. If not, all of them finished or were told to stop."""
        return self._lost is not None

    async def _keep(self, child: Child) -> int:
        """Run ``child`` until it is done, stopped or lost; return its last exit code."""
        self._emit(Restart(child=child.name, phase=child.phase))
        start = 0
        while True:
            start += 1
            process = self._start(child, start)
            await process.ended()
            planned, code = self._finish(process, start)
            refused = child.is_ours and code == EXIT_INPUT
            if self._stopping.is_set() or (planned and not refused):
                return code
            if refused or start > self._max_restarts:
                self._lose(child, code)
                return code
            delay = self._backoff_s * 2 ** (start - 1)
            _log.warning("%s ended with code %d; starting it again in %g s", child.name, code, delay)
            if await self._stopped_within(delay):
                return code

    def _start(self, child: Child, start: int) -> Process:
        process = Process(child, self._environment(child))
        self._running[child.name] = process
        self._emit(
            ProcStart(child=child.name, child_pid=process.pid, argv=list(child.argv), start=start, phase=child.phase)
        )
        if start > 1:
            self._meters[child.name].restarted()
            self._emit(Restart(child=child.name, failure=start - 1, phase=child.phase))
        self._sample(process)
        return process

    def _finish(self, process: Process, start: int) -> tuple[bool, int]:
        """Take the last sample, collect the process and write its end; return whether it was planned, and its code."""
        child = process.child
        duration_ns = time.monotonic_ns() - process.start_ns
        self._sample(process)
        status = process.reap()
        del self._running[child.name]
        planned, cause = classify(
            status, duration_ns, told_to_stop=process.told_to_stop, out_of_memory=oom_kills() != self._oom_kills[0]
        )
        if child.is_ours and status == EXIT_INPUT:
            planned, cause = True, "bad input"  # refused, not crashed
        self._emit(
            ProcExit(
                child=child.name, child_pid=process.pid, start=start, planned=planned, cause=cause,
                duration_ns=duration_ns, code=status if status >= 0 else None,
                signal=-status if status < 0 else None, phase=child.phase,
            )
        )  # fmt: skip
        return planned, exit_code(status)

    def _lose(self, child: Child, code: int) -> None:
        text = f"{child.name} is lost: it ended with code {code} and is not started again"
        self._emit(Note(level="warning", text=text, phase=child.phase))
        _log.warning("%s", text)
        if self._lost is None:
            self._lost = code
        self.stop()

    async def _stop_in_order(self, keepers: dict[str, asyncio.Task[int]]) -> None:
        await self._stopping.wait()
        deadline = time.monotonic() + self._grace_s
        for name, keeper in reversed(keepers.items()):
            process = self._running.get(name)
            if process is None:
                continue
            self._sample(process)
            process.stop(self._stop_signal)
            await asyncio.wait([keeper], timeout=max(0.0, deadline - time.monotonic()))
            if not keeper.done():
                process.stop(signal.SIGKILL)
                await asyncio.wait([keeper])

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _sample_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            self._oom_kills = [self._oom_kills[-1], oom_kills()]
            self._sample(*self._running.values())
            self._sample_self()

    def _emit(self, event: Event) -> None:
        if self._writer:
            self._writer.emit(event)

    def _sample(self, *running: Process) -> None:
        if not self._writer:
            return
        processes = scan()
        for process in running:
            self._emit(self._meters[process.child.name].read(process.tree, processes))

    def _sample_self(self) -> None:
        self._emit(Sample(scope="self", name="supervise", cpu_ns=time.process_time_ns()))

    def _environment(self, child: Child) -> dict[str, str]:
        environment = {
            name: value for name, value in os.environ.items() if name not in (RUN_VARIABLE, ATTEMPT_VARIABLE)
        }
        if self._writer:
            environment[RUN_VARIABLE] = str(self._writer.path.parent.parent.resolve())
            environment[ATTEMPT_VARIABLE] = str(self._writer.attempt)
        if child.is_ours:
            environment[PARENT_VARIABLE] = str(os.getpid())
        return environment | dict(child.env)
