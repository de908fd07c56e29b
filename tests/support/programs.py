"""Programs that answer a task, run for real behind the strongest wall of this machine, or another."""

from __future__ import annotations

import asyncio
import textwrap
from typing import Any

from shosei.exam.config import ExamConfig
from shosei.sandbox.runner import Execution, Runner
from shosei.wire.suite import Task
from walls import STANDING

LIMITS = ExamConfig(cpu_s=1, wall_s=20)
HERE = [*STANDING, "rlimits"]
STRONGEST = HERE[0]


def task(*tests: tuple[list[Any], Any]) -> Task:
    return Task(
        id="i",
        suite="s",
        lang="zh",
        cluster="c",
        messages=[],
        grader="python",
        truth="",
        entry_point="f",
        tests=list(tests),
    )


def source(test: str, setup: str = "") -> Task:
    return Task(
        id="i",
        suite="s",
        lang="en",
        cluster="c",
        messages=[],
        grader="python",
        truth="",
        entry_point="f",
        test=test,
        setup=setup,
    )


PLUS_ONE = task(([1], 2), ([-1], 0))


def execute(
    program: str, item: Task = PLUS_ONE, config: ExamConfig = LIMITS, backend: str = STRONGEST, oracle: str = "outside"
) -> Execution:
    async def main() -> Execution:
        async with Runner(config, backend) as runner:
            return await runner.execute(textwrap.dedent(program), item, oracle)

    return asyncio.run(main())


def in_turn(programs: list[tuple[str, Task]], backend: str = STRONGEST, oracle: str = "outside") -> list[Execution]:
    """What becomes of programs that one pair of sandboxes runs."""

    async def main() -> list[Execution]:
        async with Runner(LIMITS, backend) as runner:
            return [await runner.execute(program, item, oracle) for program, item in programs]

    return asyncio.run(main())


def run(program: str, item: Task = PLUS_ONE, config: ExamConfig = LIMITS, backend: str = STRONGEST) -> str:
    return execute(program, item, config, backend).outcome
