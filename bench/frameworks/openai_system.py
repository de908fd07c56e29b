"""Plain ``openai`` code in either API. At a handoff the writer goes on with the manager's conversation."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import given
from openai import AsyncOpenAI
from pydantic import BaseModel


def schema(name: str) -> dict[str, Any]:
    """Of one text."""
    kind = {"type": "object", "additionalProperties": False}
    return kind | {"properties": {name: {"type": "string"}}, "required": [name]}


ASKED, CITY = schema("query"), schema("city")
TOOLS = {
    "manager": {"ask_researcher": ASKED, "ask_writer": ASKED},
    "researcher": {"lookup": CITY},
    "writer": {},
}
HANDOFF = "transfer_to_writer"
Call = tuple[str, str, str]  # id, name, arguments
Results = list[tuple[str, str]]  # id, what came out


class Answer(BaseModel):
    answer: str


class Chat:
    """One agent's conversation over Chat Completions; the writer's answers are streamed."""

    def __init__(self, task: given.Given, agent: str, messages: list[Any], tools: dict[str, Any]) -> None:
        self.task, self.agent, self.text = task, agent, ""
        self.client = AsyncOpenAI(**task.client(agent))
        self.messages = [{"role": "system", "content": given.prompt(agent)}, *messages]
        self.options: dict[str, Any] = {"model": task.model}
        functions = [{"name": name, "parameters": schema, "strict": True} for name, schema in tools.items()]
        if functions:
            self.options["tools"] = [{"type": "function", "function": function} for function in functions]
        if agent == "manager" and task.id == "structured":
            self.options["response_format"] = Answer

    async def said(self) -> list[Call]:
        """The calls of the next answer."""
        completions = self.client.chat.completions
        if self.agent == "writer":
            stream = await completions.create(messages=self.messages, **self.options, stream=True)
            self.text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
            return []
        message = (await completions.parse(messages=self.messages, **self.options)).choices[0].message
        self.messages.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
        self.text = message.content or ""
        return [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]

    def give(self, results: Results) -> None:
        self.messages += [{"role": "tool", "tool_call_id": id, "content": result} for id, result in results]

    def handed_to(self, agent: str) -> Chat:
        return Chat(self.task, agent, self.messages[1:], TOOLS[agent])


class Responses:
    """The same over Responses, which keeps the conversation for us."""

    def __init__(self, task: given.Given, agent: str, new: list[Any], tools: dict[str, Any]) -> None:
        self.task, self.agent, self.new, self.text = task, agent, new, ""
        self.client = AsyncOpenAI(**task.client(agent))
        self.options: dict[str, Any] = {"model": task.model, "instructions": given.prompt(agent)}
        self.options["tools"] = [
            {"type": "function", "name": name, "parameters": schema, "strict": True} for name, schema in tools.items()
        ]
        if agent == "manager" and task.id == "structured":
            self.options["text_format"] = Answer

    async def said(self) -> list[Call]:
        """The calls of the next answer."""
        if self.agent == "writer":
            async with self.client.responses.stream(input=self.new, **self.options) as stream:
                answer = await stream.get_final_response()
        else:
            answer = await self.client.responses.parse(input=self.new, **self.options)
        self.options["previous_response_id"], self.text = answer.id, answer.output_text
        calls = [item for item in answer.output if item.type == "function_call"]
        return [(call.call_id, call.name, call.arguments) for call in calls]

    def give(self, results: Results) -> None:
        self.new = [{"type": "function_call_output", "call_id": id, "output": result} for id, result in results]

    def handed_to(self, agent: str) -> Responses:
        other = Responses(self.task, agent, self.new, TOOLS[agent])
        other.options["previous_response_id"] = self.options["previous_response_id"]
        return other


async def run(task: given.Given, agent: str, question: str) -> str:
    """What an agent, or the one that it hands over to, says when nothing is called any more."""
    tools = TOOLS[agent]
    if agent == "manager" and task.id == "handoff":
        tools = {"ask_researcher": ASKED, HANDOFF: ASKED}
    talk = (Responses if given.RESPONSES else Chat)(task, agent, [{"role": "user", "content": question}], tools)
    while calls := await talk.said():
        results = await asyncio.gather(*(result(task, name, arguments) for _, name, arguments in calls))
        talk.give([(id, result) for (id, _, _), result in zip(calls, results, strict=True)])
        if HANDOFF in [name for _, name, _ in calls]:
            talk = talk.handed_to("writer")
    return talk.text


async def result(task: given.Given, name: str, arguments: str) -> str:
    if name == HANDOFF:
        return "transferred"
    try:
        if name == "lookup":
            return given.lookup(**json.loads(arguments))
        return await run(task, name.removeprefix("ask_"), json.loads(arguments)["query"])
    except ValueError as error:
        return json.dumps({"error": str(error)})


async def system(task: given.Given) -> str:
    answer = await run(task, "manager", task.question)
    return str(json.loads(answer)["answer"]) if task.id == "structured" else answer.strip()


given.answer_all(system)
