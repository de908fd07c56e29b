"""AutoGen: a swarm whose agents hand over to each other; side by side, they are tools of the manager."""

from __future__ import annotations

from typing import Any

import given
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskRunner
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import Swarm
from autogen_agentchat.tools import AgentTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

CAN = {"vision": False, "function_calling": True, "json_output": True, "family": "unknown", "structured_output": True}


class Answer(BaseModel):
    answer: str


async def system(task: given.Given) -> str:
    def agent(name: str, **options: Any) -> AssistantAgent:
        client = OpenAIChatCompletionClient(model=task.model, model_info=CAN, **task.client(name))
        return AssistantAgent(name, client, description=name, system_message=given.prompt(name), **options)

    team = as_tools(agent) if task.id in ("fanout", "structured") else swarm(agent)
    last = (await team.run(task=task.question)).messages[-1]
    return last.content.answer if isinstance(last.content, Answer) else str(last.content)


def as_tools(agent: Any) -> TaskRunner:
    tools = [AgentTool(agent("researcher", tools=[given.lookup], max_tool_iterations=3)), AgentTool(agent("writer"))]
    return agent("manager", tools=tools, max_tool_iterations=6, output_content_type=Answer)


def swarm(agent: Any) -> TaskRunner:
    team = [
        agent("manager", handoffs=["researcher", "writer"]),
        agent("researcher", handoffs=["manager"], tools=[given.lookup]),
        agent("writer", handoffs=["manager"]),
    ]
    ends = TextMentionTermination("answer-", ["manager"]) | TextMentionTermination("something else", ["manager"])
    return Swarm(team, termination_condition=ends | MaxMessageTermination(40))


given.answer_all(system)
