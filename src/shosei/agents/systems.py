"""The systems that come with Shosei, each an async function of a task and a base URL.

What they say, how often they try and how they sample are settings of the run, by ``wire.system.setting``.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from shosei.agents import tools
from shosei.agents.agent import agent, ask
from shosei.agents.prompts import SKILLS, SOLVE, examples, prompt
from shosei.wire.system import Assignment, setting

_TRIES = 3  # of the checked solver; the setting ``tries``
_STEPS = 4  # of a plan; the setting ``steps``
_DEBATERS = 3  # the setting ``debaters``
_TEMPERATURE = 0.7  # of debaters, who are one model: without chance they would all say the same


async def single(task: Assignment, base_url: str) -> str:
    """Answer by oneself, without tools: what the systems of several are measured against."""
    *earlier, last = task.messages or [{"role": "user", "content": task.question}]
    return await ask(agent(task, base_url, "single"), last["content"], earlier)


async def router(task: Assignment, base_url: str) -> str:
    """Have a router name a specialist, by language and skill, who answers with that skill's tools."""
    choice = await ask(agent(task, base_url, "router", prompt("route", task.lang)), task.question)
    lang, skill = _specialist(choice, task)
    skilled = [getattr(tools, name) for name in SKILLS[skill]]
    instructions = prompt("solve", lang) if skilled else ""
    specialist = agent(task, base_url, f"{lang}-{skill}", instructions, skilled)
    return await ask(specialist, task.question, examples(lang))


async def checker(task: Assignment, base_url: str) -> str:
    """Have a solver answer, a checker say what is wrong with the answer, and the solver try again."""
    solver = agent(task, base_url, "solver", prompt("solve", task.lang), [tools.calculator, tools.numerals])
    critic = agent(task, base_url, "checker", prompt("check", task.lang))
    question, answer = task.question, ""
    for _ in range(setting("tries", _TRIES)):
        answer = await ask(solver, question, examples(task.lang))
        verdict = await ask(critic, f"{task.question}\n{answer}")
        if verdict.upper().startswith("OK"):
            break
        question = f"{task.question}\n{answer}\n{verdict}"
    return answer


async def planner(task: Assignment, base_url: str) -> str:
    """Split the question into steps, have workers do them at the same time, and write an answer from their results."""
    plan = await ask(agent(task, base_url, "planner", prompt("plan", task.lang)), task.question)
    steps = [line.strip() for line in plan.splitlines() if line.strip()][: setting("steps", _STEPS)]

    async def work(number: int, step: str) -> str:
        name, instructions = f"worker-{number}", prompt("work", task.lang)
        worker = agent(task, base_url, name, instructions, [tools.calculator, tools.calendar])
        done = await ask(worker, f"{task.question}\n{step}")
        return f"{step}\n{done}"

    results = await asyncio.gather(*(work(number, step) for number, step in enumerate(steps, 1)))
    writer = agent(task, base_url, "writer", prompt("write", task.lang))
    return await ask(writer, "\n".join([task.question, *results]))


async def debate(task: Assignment, base_url: str) -> str:
    """Have debaters answer each for itself, read each other's answers, answer again, and vote."""
    names = [f"debater-{number}" for number in range(1, setting("debaters", _DEBATERS) + 1)]
    first = await asyncio.gather(
        *(ask(agent(task, base_url, name, temperature=_TEMPERATURE), task.question) for name in names)
    )

    async def again(place: int, name: str) -> str:
        others = [answer for number, answer in enumerate(first) if number != place]
        debater = agent(task, base_url, name, prompt("debate", task.lang), temperature=_TEMPERATURE)
        return await ask(debater, "\n".join([task.question, *others]))

    votes = await asyncio.gather(*(again(place, name) for place, name in enumerate(names)))
    return Counter(votes).most_common(1)[0][0]  # of equally many, the first debater's


def _specialist(choice: str, task: Assignment) -> tuple[str, str]:
    """Language and skill that the router named; a weak one may name none, and then it is a chat."""
    lang, _, skill = choice.strip().lower().partition("-")
    return lang if lang in SOLVE else task.lang, skill if skill in SKILLS else "chat"
