"""A router names a specialist, by language and skill; the specialist answers with that skill's tools."""

from __future__ import annotations

from shosei.agents import tools
from shosei.agents.agent import agent, ask
from shosei.agents.prompts import ROUTE, SKILLS, SOLVE
from shosei.wire.system import Assignment


async def system(task: Assignment, base_url: str) -> str:
    choice = await ask(agent(task, base_url, "router", ROUTE[task.lang]), task.question)
    lang, skill = _specialist(choice, task)
    own = [getattr(tools, name) for name in SKILLS[skill]]
    instructions = SOLVE[lang] if own else ""
    return await ask(agent(task, base_url, f"{lang}-{skill}", instructions, own), task.question)


def _specialist(choice: str, task: Assignment) -> tuple[str, str]:
    """Language and skill that the router named; a weak one may name none, and then it is a chat."""
    lang, _, skill = choice.strip().lower().partition("-")
    return lang if lang in SOLVE else task.lang, skill if skill in SKILLS else "chat"
