"""Keeps children running: starts, meters, restarts and stops them, and writes down what became of each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence

from shosei.errors import EXIT_INPUT
from shosei.lineage import PARENT_VARIABLE, adopt_orphans, collect_adopted
from shosei.log import Event, Note, ProcExit, ProcStart, Restart, Writer
from shosei.log.run import ATTEMPT_VARIABLE, RUN_VARIABLE
from shosei.supervise.aftermath import find_lost
from shosei.supervise.classify import OomKills, RestartBudget, classify, exit_code_of_status
from shosei.supervise.faults import Injection, inject
from shosei.supervise.heartbeat import watch
from shosei.supervise.process import Child, Process
from shosei.supervise.sampler import Sampler
from shosei.supervise.spares import SPARE_DELAY_S, Spares
from shosei.supervise.steps import StepReader

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FORWARDED = (signal.SIGUSR1, signal.SIGUSR2)
_EARLY_S = (0.05, 0.1, 0.2, 0.4)  # between the samples of a start's first second: it may live no longer

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs ``children`` until each has finished, one is lost, or it is told to stop.

    A child that fails or hangs is started again after ``backoff_s``, doubled each time, at most ``max_restarts`` times
    within any ``per_s`` (None: in all). When one is lost for good the others are stopped. Children are stopped in
    reverse order (so list what others depend on first), with ``grace_s`` for all of them together before SIGKILL.
    Samples are taken every ``interval_s``, and more often in the first second of a start; without a ``writer`` nothing
    is recorded, by the children neither.
    ``injections`` strike the last of the children. The spare of a child that has one stands in ``spare_delay_s`` after
    each of its starts.
    """

    def __init__(
        self,
        writer: Writer | None,
        children: Sequence[Child],
        max_restarts: int = 3,
        backoff_s: float = 0.5,
        interval_s: float = 1.0,
        grace_s: float = 10.0,
        injections: Sequence[Injection] = (),
        per_s: float | None = None,
        spare_delay_s: float = SPARE_DELAY_S,
    ) -> None:
        self._writer = writer
        self._sampler = Sampler(writer, children) if writer else None
        self._children = list(children)
        self._budgets = {child.name: RestartBudget(max_restarts, per_s, backoff_s) for child in children}
        self._interval_s, self._grace_s = interval_s, grace_s
        self._injections = injections
        self._restarts = {child.name: Counter[str]() for child in children}  # by kind
        self._running: dict[str, Process] = {}
        self._spares = Spares(lambda child: Process(child, self._environment(child), is_spare=True), spare_delay_s)
        # The orphans of trees that have no control group to hold them; as process 1, of all.
        self._adopts = os.getpid() == 1
        self._stopping = asyncio.Event()
        self._stop_signal: int = signal.SIGTERM
        self._lost: int | None = None
        self._oom_kills = OomKills()
        self._steps = {child.name: StepReader(child.phase, self._emit) for child in children if child.heartbeat.steps}

    async def run(self) -> int:
        """Supervise; call it in the main thread. Return the lost child's exit code, or else the first that is not 0.

        A death by signal counts as 128 + signal. SIGTERM, SIGINT and SIGHUP end the children and then this; a second
        one is passed on to all of them. SIGUSR1 and SIGUSR2 are passed on to the commands alone. A signal that we were
        started to ignore stays ignored.
        """
        loop = asyncio.get_running_loop()
        handlers = dict.fromkeys(_STOPPING, self._interrupt) | dict.fromkeys(_FORWARDED, self._forward)
        handlers = {signum: act for signum, act in handlers.items() if signal.getsignal(signum) != signal.SIG_IGN}
        for signum, act in handlers.items():
            loop.add_signal_handler(signum, act, signum)
        self._record_lost()
        if self._sampler:
            self._sampler.machine()
        keepers = {child.name: asyncio.create_task(self._keep(child)) for child in self._children}
        struck = self._children[-1].name
        helpers = [
            asyncio.create_task(self._sample_regularly()),
            asyncio.create_task(self._stop_in_order(keepers)),
            *(asyncio.create_task(inject(item, lambda: self._running.get(struck))) for item in self._injections),
        ]
        try:
            codes = await asyncio.gather(*keepers.values())
        finally:
            for task in (*helpers, *keepers.values()):
                task.cancel()
            self._spares.give_up()
            for process in self._running.values():
                process.reap()
                process.forget()
            if self._adopts:
                adopt_orphans(False)
            for signum in handlers:
                loop.remove_signal_handler(signum)
            if self._sampler:
                self._sampler.machine()
        return self._lost if self._lost is not None else next((code for code in codes if code), 0)

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """Pass ``signum`` on to the children and end ``run`` when they have ended."""
        if not self._stopping.is_set():
            self._stop_signal = signum
            self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether the children are being stopped: it was told to, or one of them was lost."""
        return self._stopping.is_set()

    @property
    def stop_signal(self) -> int:
        """The signal that the children are stopped by: the one that we were told to stop by, if any."""
        return self._stop_signal

    @property
    def lost(self) -> bool:
        """Whether a child failed for good. If not, all of them finished or were told to stop."""
        return self._lost is not None

    def _interrupt(self, signum: int) -> None:
        """Stop; again, for whoever will not wait, all children at once: many commands end at a second signal."""
        if self._stopping.is_set():
            for process in self._running.values():
                process.stop(signum)
        self.stop(signum)

    def _forward(self, signum: int) -> None:
        for process in self._running.values():
            process.signal_leader(signum)

    async def _keep(self, child: Child) -> int:
        """Run ``child`` until it is done, stopped or lost; return its last exit code."""
        self._count_restarts(child)
        start = 0
        while True:
            start += 1
            process = self._start(child, start)
            helpers = [
                asyncio.create_task(watch(process, self._emit)),
                asyncio.create_task(self._sample_early(process)),
                asyncio.create_task(self._spares.keep(child)),
            ]
            try:
                await process.ended()
            finally:
                for task in helpers:
                    task.cancel()
            planned, code = self._finish(process, start)
            refused = child.is_ours and code == EXIT_INPUT
            if self._stopping.is_set() or (planned and not refused):
                return code
            delay = None if refused else self._budgets[child.name].spend()
            if delay is None:
                self._lose(child, code)
                return code
            _log.warning("%s ended with code %d; starting it again in %g s", child.name, code, delay)
            if await self._stopped_within(delay):
                return code
            self._restarts[child.name]["watchdog" if process.hung else "failure"] += 1

    def _start(self, child: Child, start: int) -> Process:
        adopt_orphans()  # a command may leave one behind before we know whether a control group holds it
        process = self._spares.take(child) or Process(child, self._environment(child), self._steps.get(child.name))
        self._running[child.name] = process
        self._adopts = self._adopts or process.cgroup is None
        adopt_orphans(self._adopts)
        self._emit(
            ProcStart(child=child.name, child_pid=process.pid, argv=list(child.argv), start=start, phase=child.phase)
        )
        if start > 1:
            self._count_restarts(child)
            if self._sampler:
                self._sampler.restarted(process)
        self._sample(process)
        return process

    def _finish(self, process: Process, start: int) -> tuple[bool, int]:
        """Take the last sample, collect the process and write its end; return whether it was planned, and its code."""
        child = process.child
        duration_ns = time.monotonic_ns() - process.start_ns
        self._sample(process)
        status = process.reap()
        del self._running[child.name]
        self._collect_adopted()
        planned, cause = classify(
            status,
            duration_ns,
            told_to_stop=process.told_to_stop,
            hung=process.hung,
            out_of_memory=process.out_of_memory(),
            oom_kill_near=not process.counts_oom_kills and self._oom_kills.rose(),
        )
        process.forget()
        if child.is_ours and status == EXIT_INPUT:
            planned, cause = True, "bad input"  # refused, not crashed
        for fault in process.faults:
            fault.end_ns = time.monotonic_ns()
            self._emit(fault)
        self._emit(
            ProcExit(
                child=child.name,
                child_pid=process.pid,
                start=start,
                planned=planned,
                cause=cause,
                duration_ns=duration_ns,
                code=status if status >= 0 else None,
                signal=-status if status < 0 else None,
                phase=child.phase,
            )
        )
        return planned, exit_code_of_status(status)

    def _lose(self, child: Child, code: int) -> None:
        text = f"{child.name} is lost: it ended with code {code} and is not started again"
        self._warn(text, child.phase)
        if self._lost is None:
            self._lost = code
        self.stop()

    async def _stop_in_order(self, keepers: dict[str, asyncio.Task[int]]) -> None:
        await self._stopping.wait()
        self._spares.give_up()
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
            self._oom_kills.look()
            self._spares.give_up(only_if_short=True)
            self._sample(*self._running.values())
            if self._sampler:
                self._sampler.spares(self._spares.waiting)
                self._sampler.machine()
            self._collect_adopted()

    async def _sample_early(self, process: Process) -> None:
        for delay in _EARLY_S:
            if delay < self._interval_s:
                await asyncio.sleep(delay)
                self._sample(process)

    def _sample(self, *running: Process) -> None:
        for process in running:
            if self._sampler:
                self._sampler.tree(process)

    def _collect_adopted(self) -> None:
        if self._adopts:
            ours = [*self._running.values(), *self._spares.waiting]
            collect_adopted(set().union(*(process.own_pids for process in ours)))

    def _count_restarts(self, child: Child) -> None:
        counts = self._restarts[child.name]
        self._emit(Restart(child=child.name, failure=counts["failure"], watchdog=counts["watchdog"], phase=child.phase))

    def _record_lost(self) -> None:
        """Write down the ends that an earlier supervisor of this run could not, because it was killed."""
        if not self._writer:
            return
        for lost in find_lost(self._writer.path.parent):
            for end in lost.ends:
                self._writer.relay(end)
            self._warn(str(lost))

    def _warn(self, text: str, phase: str = "") -> None:
        self._emit(Note(level="warning", text=text, phase=phase))
        _log.warning("%s", text)

    def _emit(self, event: Event) -> None:
        if self._writer:
            self._writer.emit(event)

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
