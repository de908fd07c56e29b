"""The programs among the answers: which oracle each task needs, and what became of each program."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Collection

from shosei.exam.config import ExamConfig
from shosei.exam.counts import OnProgress
from shosei.exam.exam import Exam
from shosei.exam.resume import Key
from shosei.log import Exec, Note, Writer
from shosei.metrics.grading.programs import build_program
from shosei.sandbox.proof import Proof
from shosei.sandbox.runner import IN_PROCESS, OUTSIDE, Execution, Runner
from shosei.wire.suite import Task

_AT_ONCE = 2


async def run_programs(
    config: ExamConfig, proof: Proof, exam: Exam, writer: Writer, progress: OnProgress, executed: Collection[Key]
) -> None:
    """Run the programs among the answers of ``exam``, but for those ``executed`` before, each into an ``exec`` event.

    A note names the tasks whose own reference solutions do not pass.
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
            progress(exam.counts)

    async with contextlib.AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(Programs(config, proof)) for _ in range(min(_AT_ONCE, len(pending)))]
        async with asyncio.TaskGroup() as group:
            for programs in workers:
                group.create_task(work(programs))
    if broken := sorted({name for programs in workers for name in programs.broken}):
        text = f"{len(broken)} tasks' own reference solutions do not pass their tests here: {', '.join(broken)}"
        writer.emit(Note(level="warning", text=text))


class Programs:
    """Runs answers' programs one by one, in sandboxes of its own. Use as an async context manager.

    ``broken`` names the tasks whose own reference solution does not pass.
    """

    def __init__(self, config: ExamConfig, proof: Proof) -> None:
        self._runner = Runner(config, proof.backend)
        self._proof = proof
        self._oracles: dict[tuple[str, str], str] = {}
        self.broken: set[str] = set()

    async def __aenter__(self) -> Programs:
        await self._runner.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.__aexit__()

    async def run(self, task: Task, sample: int, answer: str) -> Exec:
        oracle = await self._oracle(task)
        execution = await self._runner.execute(build_program(answer, task.entry_point, task.prompt), task, oracle)
        if execution.needs_objects == "argument" and not task.truth:
            oracle = IN_PROCESS
            execution = await self._runner.execute(build_program(answer, task.entry_point, task.prompt), task, oracle)
        return Exec(
            suite=task.suite,
            item=task.id,
            sample=sample,
            backend=self._proof.backend,
            level=self._proof.level,
            oracle=oracle,
            outcome=execution.outcome,
            cpu_ns=execution.cpu_ns,
            task=task.id,
        )

    async def _oracle(self, task: Task) -> str:
        """Where the tests of ``task`` must run, which its reference solution shows: never the answer, which may lie.

        Outside, unless they need more than literals. Tests of literals never do.
        """
        key = task.suite, task.id
        if key not in self._oracles:
            self._oracles[key] = OUTSIDE
            if task.test and task.truth and not await self._passes(task, OUTSIDE):
                if await self._passes(task, IN_PROCESS):
                    self._oracles[key] = IN_PROCESS
                else:
                    self.broken.add(f"{task.suite}/{task.id}")
        return self._oracles[key]

    async def _passes(self, task: Task, oracle: str) -> bool:
        execution: Execution = await self._runner.execute(task.truth, task, oracle)
        return execution.outcome == "pass"
