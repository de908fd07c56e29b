"""A solver answers, a checker says what is wrong with the answer, and the solver tries again."""

from __future__ import annotations

from shosei.agents import tools
from shosei.agents.agent import agent, ask
from shosei.agents.prompts import CHECK, SOLVE
from shosei.wire.system import Assignment

_TRIES = 3


async def system(task: Assignment, base_url: str) -> str:
    solver = agent(task, base_url, "solver", SOLVE[task.lang], [tools.calculator, tools.numerals])
    checker = agent(task, base_url, "checker", CHECK[task.lang])
    question, answer = task.question, ""
    for _ in range(_TRIES):
        answer = await ask(solver, question)
        verdict = await ask(checker, f"{task.question}\n{answer}")
        if verdict.upper().startswith("OK"):
            break
        question = f"{task.question}\n{answer}\n{verdict}"
    return answer
