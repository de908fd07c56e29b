"""pydantic-ai: the manager calls the others by tools; a handoff is an output function, a structured output a tool."""

from __future__ import annotations

from typing import Any

import given
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Answer(BaseModel):
    answer: str


def lookup(city: str) -> str:
    """The year in which a city was founded."""
    try:
        return given.lookup(city)
    except ValueError as error:
        raise ModelRetry(str(error)) from None


async def system(task: given.Given) -> str:
    def agent(name: str, **options: Any) -> Agent[None, Any]:
        provider = OpenAIProvider(openai_client=AsyncOpenAI(**task.client(name)))
        model = OpenAIChatModel(task.model, provider=provider)
        return Agent(model, instructions=given.prompt(name), retries=3, **options)

    researcher, writer = agent("researcher", tools=[lookup]), agent("writer")

    async def ask_researcher(query: str) -> str:
        """Find out."""
        return str((await researcher.run(query)).output)

    async def ask_writer(query: str) -> str:
        """Write it down."""
        return str((await writer.run(query)).output)

    if task.id == "handoff":
        last = ToolOutput(ask_writer, name="hand_off_to_writer")
        manager = agent("manager", tools=[ask_researcher], output_type=[last, str])
    else:
        output_type = Answer if task.id == "structured" else str
        manager = agent("manager", tools=[ask_researcher, ask_writer], output_type=output_type)
    output = (await manager.run(task.question)).output
    return output.answer if isinstance(output, Answer) else str(output)


given.answer_all(system)
