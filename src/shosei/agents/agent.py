"""One agent: a model with instructions and tools, known by its name, that always ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from openai import AsyncOpenAI
from pydantic_ai import Agent, Tool, UsageLimits, capture_run_messages
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from shosei.wire.system import Assignment, setting

_TRIES = 6  # of a request that the provider refuses (429), fails (5xx) or cuts; the waits double from half a second
_CALLS = 5  # to the model, for one answer, unless the setting ``calls`` says otherwise: a weak one may never stop


def agent(
    task: Assignment,
    base_url: str,
    name: str,
    instructions: str = "",
    tools: Sequence[Callable[..., str]] = (),
    temperature: float = 0.0,
) -> Agent[None, str]:
    """An agent that asks the task's model at ``base_url`` and says that it is ``name``.

    A run's settings ``temperature`` and ``tool_NAME``, which describes a tool, hold for all agents.
    """
    client = AsyncOpenAI(
        base_url=base_url,
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
        max_retries=_TRIES - 1,
        default_headers={"x-agent": name},
    )
    model = OpenAIChatModel(task.model, provider=OpenAIProvider(openai_client=client))
    described = [Tool(tool, description=setting(f"tool_{tool.__name__}", "") or None) for tool in tools]
    settings = ModelSettings(temperature=setting("temperature", temperature))
    return Agent(model, instructions=instructions or None, tools=described, model_settings=settings)


async def ask(agent: Agent[None, str], prompt: str, earlier: Sequence[Mapping[str, str]] = ()) -> str:
    """The agent's answer, after ``earlier`` turns of ``role`` and ``content``.

    One that does not come to an end gives what it said last, or what its last tool did.

    Raises AgentRunError: the provider does not answer, after all retries.
    """
    history, limits = [_message(turn) for turn in earlier], UsageLimits(request_limit=setting("calls", _CALLS))
    with capture_run_messages() as messages:
        try:
            return (await agent.run(prompt, message_history=history, usage_limits=limits)).output.strip()
        except AgentRunError:
            if not (last := _last_words(messages[len(history) :])):
                raise
            return last


def _message(turn: Mapping[str, str]) -> ModelMessage:
    match turn["role"]:
        case "assistant":
            return ModelResponse([TextPart(turn["content"])])
        case "system":
            return ModelRequest([SystemPromptPart(turn["content"])])
    return ModelRequest([UserPromptPart(turn["content"])])


def _last_words(messages: Sequence[ModelMessage]) -> str:
    for message in reversed(messages):
        for part in reversed(message.parts):
            if part.part_kind == "text" and part.content.strip():
                return part.content.strip()
            if isinstance(part, ToolReturnPart):
                return str(part.content)
    return ""
