"""Training conversations of agent systems: a router's choice, and a specialist's calls and answer."""

from __future__ import annotations

import json
from typing import Any

from shosei.data.families import TOOL_FAMILIES, Call, Problem
from shosei.data.tools import ROUTE, SKILLS, SOLVE
from shosei.wire.suite import Task


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
