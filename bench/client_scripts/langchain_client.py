"""LangChain's ``ChatOpenAI``: an answer, a stream, a tool, a typed answer, scores, a prompt of its text model."""

import os
from typing import Literal

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel


class Answer(BaseModel):
    """The weather."""

    sky: Literal["clear", "cloudy"]


@tool
def today() -> str:
    """The date."""
    return "2026-11-29"


options = {"base_url": os.environ["BASE_URL"], "api_key": "none", "model": os.environ["MODEL"], "max_retries": 0}
chat = ChatOpenAI(max_tokens=60, seed=1, **options)
whole = chat.invoke("3 + 4 = ?")
assert whole.usage_metadata["output_tokens"] > 0
assert "".join(str(chunk.content) for chunk in chat.stream("3 + 4 = ?")) == whole.content
called = chat.bind_tools([today], tool_choice="today").invoke("Which day is it?")
assert [(call["name"], call["args"]) for call in called.tool_calls] == [("today", {})]
assert chat.invoke(
    [("user", "?"), called, {"role": "tool", "tool_call_id": called.tool_calls[0]["id"], "content": "x"}]
)
assert isinstance(chat.with_structured_output(Answer).invoke("3 + 4 = ?"), Answer)
assert chat.bind(logprobs=True, top_logprobs=2).invoke("?").response_metadata["logprobs"]["content"]
assert isinstance(OpenAI(max_tokens=8, **options).invoke("3 + 4 ="), str)
