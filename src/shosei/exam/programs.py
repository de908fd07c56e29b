"""The programs among the answers: which oracle each task needs, and what became of each program."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Collection, Sequence

from shosei.exam.config import ExamConfig
from shosei.exam.exam import Exam
from shosei.exam.resume import SampleKey
from shosei.log import Exec, Note, Writer
from shosei.metrics.grading.programs import build_program
from shosei.progress import progress
from shosei.sandbox.proof import Proof
from shosei.sandbox.runner import IN_PROCESS, OUTSIDE, Runner
from shosei.wire.suite import Task

_AT_ONCE = 2
# What may be wrong with a task; programs of the last two are not judged.
_FAULTS = {
    "broken": "{n} tasks' own reference solutions do not pass their tests here: {names}",
    "untested": "{n} tasks' tests never call the program, so that any would pass; nothing was judged: {names}",
    "unplaced": "{n} tasks' tests hand over objects, which takes a reference solution; nothing was judged: {names}",
}


async def run_programs(
    config: ExamConfig, proof: Proof, exam: Exam, writer: Writer, executed: Collection[SampleKey]
) -> None:
    """Run the programs among the answers of ``exam``, but for those ``executed`` before, each into an ``exec`` event.

    Notes name the tasks at which something is wrong.
    """
    pending = deque((task, score) for task, score in exam.answered if task.grader == "python" and not score.error)
    for task, _ in pending:
        exam.counts[task.suite].programs += 1

    async def work(programs: Programs) -> None:
        while pending:
            task, score = pending.popleft()
            if (task.suite, task.id, score.sample) not in executed:
                writer.emit(await programs.run(task, score.sample, score.answer))
            exam.counts[task.suite].executed += 1
            shown.advance()

    async with contextlib.AsyncExitStack() as stack:
        shown = stack.enter_context(progress("running programs", len(pending), "programs"))
        workers = [await stack.enter_async_context(Programs(config, proof)) for _ in range(min(_AT_ONCE, len(pending)))]
        async with asyncio.TaskGroup() as group:
            for programs in workers:
                group.create_task(work(programs))
    for text in _faults_of_tasks(workers):
        writer.emit(Note(level="warning", text=text))


def _faults_of_tasks(workers: Sequence[Programs]) -> list[str]:
    """A sentence for each kind of fault that tasks turned out to have, with their names."""
    found = {fault: sorted({name for each in workers for name in each.faults[fault]}) for fault in _FAULTS}
    return [_FAULTS[fault].format(n=len(names), names=", ".join(names)) for fault, names in found.items() if names]


class Programs:
    """Runs answers' programs one by one, in sandboxes of its own. Use as an async context manager.

    ``faults`` names the tasks that have one of ``_FAULTS``.
    """

    def __init__(self, config: ExamConfig, proof: Proof) -> None:
        self._runner = Runner(config, proof.backend)
        self._proof = proof
        self._oracles: dict[tuple[str, str], tuple[str, bool]] = {}
        self.faults: dict[str, set[str]] = {fault: set() for fault in _FAULTS}

    async def __aenter__(self) -> Programs:
        await self._runner.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.__aexit__()

    async def run(self, task: Task, sample: int, answer: str) -> Exec:
        oracle, plain = await self._oracle(task)
        program = build_program(answer, task.entry_point, task.prompt)
        execution = await self._runner.execute(program, task, oracle, plain=plain)
        outcome, name = execution.outcome, f"{task.suite}/{task.id}"
        if execution.untested:
            self.faults["untested"].add(name)
        if execution.needs_objects == "argument" and not task.truth:
            self.faults["unplaced"].add(name)
            outcome = "infra"
        return Exec(
            suite=task.suite,
            item=task.id,
            sample=sample,
            backend=self._proof.backend,
            level=self._proof.level,
            oracle=oracle,
            outcome=outcome,
            cpu_ns=execution.cpu_ns,
            needs=execution.needs,
            program=program,
            task=task.id,
        )

    async def _oracle(self, task: Task) -> tuple[str, bool]:
        """Where the tests of ``task`` must run, and whether results are literals even so: never the answer decides it.

        Outside, unless they need more than literals, as its reference solution shows or, where there is none, the first
        call of a program that does nothing. Tests of literals never do.
        """
        key = task.suite, task.id
        if key not in self._oracles:
            self._oracles[key] = await self._place(task) if task.test else (OUTSIDE, True)
        return self._oracles[key]

    async def _place(self, task: Task) -> tuple[str, bool]:
        if not task.truth:
            idle = f"def {task.entry_point}(*_, **__):\n    pass"
            execution = await self._runner.execute(idle, task, OUTSIDE)
            return (IN_PROCESS, False) if execution.needs_objects == "argument" else (OUTSIDE, True)
        outside = await self._runner.execute(task.truth, task, OUTSIDE)
        if outside.outcome == "pass" or outside.untested:
            return OUTSIDE, True
        if outside.outcome in ("wrong", "exception"):  # the tests' word, not that of a limit
            for plain in (True, False):
                inside = await self._runner.execute(task.truth, task, IN_PROCESS, plain=plain)
                if inside.outcome == "pass":
                    return IN_PROCESS, plain
        self.faults["broken"].add(f"{task.suite}/{task.id}")
        return OUTSIDE, True
