"""A solver with a calculator and a checker, in the OpenAI Agents SDK. Each agent names itself in a header.

Needs ``openai-agents``.
"""

from __future__ import annotations

import asyncio

from agents import (
    Agent,
    ItemHelpers,
    MaxTurnsExceeded,
    ModelSettings,
    Runner,
    ToolCallOutputItem,
    function_tool,
    set_default_openai_api,
    set_default_openai_client,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from two_agents import CALLS, CHECK, MAX_TOKENS, RETRIES, SOLVE, TRIES, Task, approves, calculator, read_task


def agent(name: str, instructions: str, task: Task) -> Agent[None]:
    settings = ModelSettings(temperature=0, max_tokens=MAX_TOKENS, extra_headers={"x-agent": name})
    return Agent(name, instructions=instructions, model=task.model, model_settings=settings)


async def ask(agent: Agent[None], question: str) -> str:
    """The agent's answer; where it only ever calls its tool, what that said last."""
    try:
        return str((await Runner.run(agent, question, max_turns=CALLS)).final_output)
    except MaxTurnsExceeded as stopped:
        items = stopped.run_data.new_items if stopped.run_data else []
        said = [str(item.output) for item in items if isinstance(item, ToolCallOutputItem)]
        return said[-1] if said else ItemHelpers.text_message_outputs(items)


async def answer(task: Task) -> str:
    solver = agent("solver", SOLVE[task.lang], task)
    solver.tools = [function_tool(calculator)]
    checker = agent("checker", CHECK[task.lang], task)
    question, said = task.question, ""
    for _ in range(TRIES):
        said = await ask(solver, question)
        verdict = await ask(checker, f"{task.question}\n{said}")
        if approves(verdict):
            break
        question = f"{task.question}\n{said}\n{verdict}"
    return said


if __name__ == "__main__":
    set_default_openai_api("chat_completions")
    set_tracing_disabled(True)
    set_default_openai_client(AsyncOpenAI(max_retries=RETRIES))
    print(asyncio.run(answer(read_task())))
