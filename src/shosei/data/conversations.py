"""Training conversations: an answer, and of agent systems a router's choice and a specialist's calls and answer.

What the shipped router system says to a model stands here too: instructions, and tools as they arrive at the server. A
model must be trained on the very text that it will be asked with; a test compares it with a real client's requests.
"""

from __future__ import annotations

import json
from typing import Any

from shosei.data.families import TOOL_FAMILIES, Call, Problem
from shosei.wire.suite import Task

ROUTE = {
    "zh": "选专家：zh或ja-calculator calendar days numerals units python chat",
    "ja": "専門家を選べ：zhかja-calculator calendar days numerals units python chat",
}
SOLVE = {"zh": "用工具，只答结果。", "ja": "道具を使い、結果だけ答えよ。"}


def _tool(name: str, description: str, **parameters: str) -> dict[str, Any]:
    schema = {
        "additionalProperties": False,
        "properties": {parameter: {"type": kind} for parameter, kind in parameters.items()},
        "required": list(parameters),
        "type": "object",
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


# skill -> its specialist's tools
SKILLS: dict[str, list[dict[str, Any]]] = {
    "calculator": [
        _tool("calculator", "Evaluates arithmetic.", expression="string"),
        _tool("numerals", "Writes a number in zh, ja or digits.", number="string", language="string"),
    ],
    "calendar": [_tool("calendar", "Adds days to a date.", date="string", days="integer")],
}


def answering(task: Task) -> dict[str, Any]:
    """A model that is asked ``task`` gives the right answer."""
    return _row(task, [*task.messages, _assistant(task.truth)])


def routing(task: Task) -> dict[str, Any]:
    """A router that is asked ``task`` names the specialist."""
    answer = _assistant(f"{task.lang}-{TOOL_FAMILIES[task.suite].skill}")
    return _row(task, [_system(ROUTE[task.lang]), *task.messages, answer])


def solving(task: Task, problem: Problem, described: bool) -> dict[str, Any]:
    """A specialist that is asked ``task`` calls its tools one after the other, and answers.

    Not every row needs to say what the tools are, always in the same words: without that it is a third shorter.
    """
    steps = [message for number, call in enumerate(problem.calls) for message in _call(call, f"call-{number}")]
    messages = [_system(SOLVE[task.lang]), *task.messages, *steps, _assistant(problem.answer)]
    row = _row(task, messages)
    return row | {"tools": SKILLS[TOOL_FAMILIES[task.suite].skill]} if described else row


def _row(task: Task, messages: list[dict[str, Any]]) -> dict[str, Any]:
    return {"messages": messages, "suite": task.suite, "lang": task.lang, "cluster": task.cluster}


def _system(instructions: str) -> dict[str, Any]:
    return {"role": "system", "content": instructions}


def _assistant(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def _call(call: Call, call_id: str) -> list[dict[str, Any]]:
    """The assistant's message that calls a tool, and the tool's."""
    arguments = json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":"))
    asked = {"id": call_id, "type": "function", "function": {"name": call.tool, "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": call_id, "content": call.result},
    ]
