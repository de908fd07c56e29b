"""A planner splits the question into steps, workers do them at the same time, and a writer answers from the results."""

from __future__ import annotations

import asyncio

from shosei.agents import tools
from shosei.agents.agent import agent, ask
from shosei.agents.prompts import PLAN, WORK, WRITE
from shosei.wire.system import Assignment

_STEPS = 4


async def system(task: Assignment, base_url: str) -> str:
    plan = await ask(agent(task, base_url, "planner", PLAN[task.lang]), task.question)
    steps = [line.strip() for line in plan.splitlines() if line.strip()][:_STEPS]

    async def work(number: int, step: str) -> str:
        worker = agent(task, base_url, f"worker-{number}", WORK[task.lang], [tools.calculator, tools.calendar])
        done = await ask(worker, f"{task.question}\n{step}")
        return f"{step}\n{done}"

    results = await asyncio.gather(*(work(number, step) for number, step in enumerate(steps, 1)))
    writer = agent(task, base_url, "writer", WRITE[task.lang])
    return await ask(writer, "\n".join([task.question, *results]))
