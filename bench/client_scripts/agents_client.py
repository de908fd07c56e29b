"""The OpenAI Agents SDK in chat-completions mode: an agent that must call a tool, and one with a typed answer."""

import asyncio
import os
from typing import Literal

from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from pydantic import BaseModel

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=os.environ["BASE_URL"], api_key="none", max_retries=0)
model = OpenAIChatCompletionsModel(os.environ["MODEL"], client)
called = []


@function_tool
def today() -> str:
    """The date."""
    called.append("today")
    return "2026-11-29"


class Answer(BaseModel):
    sky: Literal["clear", "cloudy"]


async def main() -> None:
    calling = Agent(
        "caller",
        model=model,
        tools=[today],
        tool_use_behavior="stop_on_first_tool",
        model_settings=ModelSettings(tool_choice="today", max_tokens=60),
    )
    assert (await Runner.run(calling, "Which day is it?")).final_output == "2026-11-29"
    assert called == ["today"]
    talking = Agent("talker", model=model, output_type=Answer, model_settings=ModelSettings(max_tokens=60))
    assert isinstance((await Runner.run(talking, "3 + 4 = ?")).final_output, Answer)
    streamed = Runner.run_streamed(Agent("plain", model=model, model_settings=ModelSettings(max_tokens=8)), "?")
    assert [event async for event in streamed.stream_events()]


asyncio.run(main())
