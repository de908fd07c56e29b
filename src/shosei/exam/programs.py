"""The programs among the answers: which oracle each task needs, and what became of each program."""

from __future__ import annotations

from shosei.exam.config import ExamConfig
from shosei.log import Exec
from shosei.metrics.grading.programs import build_program
from shosei.sandbox.proof import Proof
from shosei.sandbox.runner import IN_PROCESS, OUTSIDE, Execution, Runner
from shosei.wire.suite import Task


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
