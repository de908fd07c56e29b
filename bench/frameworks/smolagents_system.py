"""smolagents: the manager's team are managed agents. Every agent answers by the tool ``final_answer``."""

from __future__ import annotations

import asyncio
from typing import Any

import given
from smolagents import LogLevel, OpenAIModel, ToolCallingAgent, tool


async def system(task: given.Given) -> str:
    def agent(name: str, **options: Any) -> ToolCallingAgent:
        client = task.client(name)
        url, key = client.pop("base_url"), client.pop("api_key")
        model = OpenAIModel(task.model, api_base=url, api_key=key, client_kwargs=client)
        kept = {"tools": [], "verbosity_level": LogLevel.OFF, "max_steps": 6}
        return ToolCallingAgent(
            model=model, name=name, description=name, instructions=given.prompt(name), **kept | options
        )

    team = [agent("researcher", tools=[tool(given.lookup)]), agent("writer")]
    return str(await asyncio.to_thread(agent("manager", managed_agents=team).run, task.question))


given.answer_all(system)
