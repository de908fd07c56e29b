"""Debaters answer each for itself, read each other's answers, answer again, and vote."""

from __future__ import annotations

import asyncio
from collections import Counter

from shosei.agents.agent import agent, ask
from shosei.agents.prompts import DEBATE
from shosei.wire.system import Assignment

_DEBATERS = 3
_TEMPERATURE = 0.7  # they are one model: without chance they would all say the same


async def system(task: Assignment, base_url: str) -> str:
    names = [f"debater-{number}" for number in range(1, _DEBATERS + 1)]
    first = await asyncio.gather(
        *(ask(agent(task, base_url, name, temperature=_TEMPERATURE), task.question) for name in names)
    )

    async def again(place: int, name: str) -> str:
        others = [answer for number, answer in enumerate(first) if number != place]
        debater = agent(task, base_url, name, DEBATE[task.lang], temperature=_TEMPERATURE)
        return await ask(debater, "\n".join([task.question, *others]))

    votes = await asyncio.gather(*(again(place, name) for place, name in enumerate(names)))
    return Counter(votes).most_common(1)[0][0]  # of equally many, the first debater's
