"""The OpenAI Agents SDK in its default, the Responses API, or in chat: agents as tools, and a real handoff."""

from __future__ import annotations

from typing import Any

import given
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

MODEL = OpenAIResponsesModel if given.RESPONSES else OpenAIChatCompletionsModel


class Answer(BaseModel):
    answer: str


async def system(task: given.Given) -> str:
    def agent(name: str, **options: Any) -> Agent[None]:
        model = MODEL(task.model, AsyncOpenAI(**task.client(name)))
        return Agent(name, instructions=given.prompt(name), model=model, **options)

    researcher, writer = agent("researcher", tools=[function_tool(given.lookup)]), agent("writer")
    tools = [researcher.as_tool("ask_researcher", "Find out."), writer.as_tool("ask_writer", "Write it down.")]
    if task.id == "handoff":
        manager = agent("manager", tools=tools[:1], handoffs=[writer])
    else:
        manager = agent("manager", tools=tools, output_type=Answer if task.id == "structured" else None)
    output = (await Runner.run(manager, task.question)).final_output
    return output.answer if isinstance(output, Answer) else str(output)


set_tracing_disabled(True)
given.answer_all(system)
