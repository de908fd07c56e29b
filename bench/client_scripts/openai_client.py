"""The official client: chat, streamed and whole, tools, typed answers, scores, and fields of other servers."""

import os
from typing import Literal

import openai
from pydantic import BaseModel

TOOL = {"type": "function", "function": {"name": "today", "parameters": {"type": "object", "properties": {}}}}
ASK = [{"role": "user", "content": "3 + 4 = ?"}]


class Answer(BaseModel):
    sky: Literal["clear", "cloudy"]


client = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key="none", max_retries=0)
model = client.models.list().data[0].id
asked = {"model": model, "messages": ASK, "max_tokens": 24, "seed": 1}
whole = client.chat.completions.create(**asked)
chunks = client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **asked)
pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
assert "".join(pieces) == whole.choices[0].message.content
calls = client.chat.completions.create(tools=[TOOL], tool_choice="required", **asked).choices[0].message.tool_calls
assert {(call.function.name, call.function.arguments) for call in calls} == {("today", "{}")}
parsed = client.chat.completions.parse(response_format=Answer, **asked | {"max_tokens": 60}).choices[0].message.parsed
assert isinstance(parsed, Answer)
scored = client.chat.completions.create(logprobs=True, top_logprobs=2, n=2, **asked)
assert [len(choice.logprobs.content[0].top_logprobs) for choice in scored.choices] == [2, 2]
extra = {"guided_choice": ["yes", "no"], "top_k": 5, "repetition_penalty": 1.1, "metadata": {"a": "b"}}
raw = client.chat.completions.with_raw_response.create(extra_body=extra, **asked)
assert raw.parse().choices[0].message.content in ("yes", "no")
assert raw.headers["x-shosei-ignored"] == "metadata"
