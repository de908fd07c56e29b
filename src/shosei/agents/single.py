"""One agent that answers by itself, without tools: what the systems of several are measured against."""

from __future__ import annotations

from shosei.agents.agent import agent, ask
from shosei.wire.system import Assignment


async def system(task: Assignment, base_url: str) -> str:
    return await ask(agent(task, base_url, "single"), task.question)
