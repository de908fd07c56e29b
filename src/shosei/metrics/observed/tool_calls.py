"""The tool calls in agents' answers, each with the result that a later request carried, and how it ended."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from shosei.log import Request, ToolResult

ANSWERED, ERROR, UNDECIDED, UNANSWERED, ENDED_THERE = "answered", "error", "undecided", "unanswered", "ended there"


@dataclass(slots=True)
class AskedTool:
    """A tool call of ``task``, in the answer to the task's call number ``asked``; from 0, in order.

    ``end`` is ``unknown tool`` or ``invalid arguments``, whatever it was answered, or one of the constants above.
    """

    task: str
    agent: str
    tool: str
    id: str
    end: str
    asked: int
    carried: int | None = None  # the number of the call whose request carried the result
    took_ns: int | None = None  # from the last byte of the answer to the request with the result


def asked_tools(tasks: Mapping[str, Sequence[Request]], failed: Container[str] = ()) -> list[AskedTool]:
    """Every tool call of every task. Of those without a result in a task that did not fail, most ``ended there``.

    A result is looked up by its call's id over all agents of the task, the asking one first. One without an id is of
    all that the same agent's last answer asked for and that have none.
    """
    return [tool for task, calls in tasks.items() for tool in _of_task(task, calls, task in failed)]


def _of_task(task: str, calls: Sequence[Request], failed: bool) -> list[AskedTool]:
    every: list[AskedTool] = []
    by_id: dict[str, list[AskedTool]] = {}  # those that wait for a result
    last: dict[str, list[AskedTool]] = {}  # of each agent, what its last answer with tool calls asked for
    for place, call in enumerate(calls):
        for result in call.tool_results:
            named = _named(by_id.get(result.id, []), call.agent) if result.id else last.get(call.agent, [])
            for tool, end in _answered(result, [tool for tool in named if tool.carried is None]):
                tool.carried, tool.took_ns = place, _took_ns(calls[tool.asked], call)
                tool.end = end if tool.end == UNANSWERED else tool.end
        asked = [
            AskedTool(task, call.agent, tool.name, tool.id, tool.error or UNANSWERED, place) for tool in call.tool_calls
        ]
        for tool in asked:
            by_id.setdefault(tool.id, []).append(tool)
            last[call.agent] = asked
        every += asked
    if not failed:
        _end_there(calls, every)
    return every


def _named(waiting: list[AskedTool], agent: str) -> list[AskedTool]:
    """Of those with one id, the asking agent's last, else the last of all; it waits no longer."""
    if not waiting:
        return []
    own = [number for number, tool in enumerate(waiting) if tool.agent == agent]
    return [waiting.pop(own[-1] if own else -1)]


def _answered(result: ToolResult, tools: Sequence[AskedTool]) -> list[tuple[AskedTool, str]]:
    """The calls that the result is of, and how each ended.

    An error without an id is of one of them, and nobody knows of which: the last; of the others nothing is known.
    """
    end = ERROR if result.error else UNDECIDED if result.form == UNDECIDED else ANSWERED
    others = UNDECIDED if result.error else end
    return [(tool, others) for tool in tools[:-1]] + [(tool, end) for tool in tools[-1:]]


def _took_ns(asked: Request, carried: Request) -> int | None:
    return None if asked.done_ns is None else max(0, carried.scheduled_ns - asked.done_ns)


def _end_there(calls: Sequence[Request], every: Sequence[AskedTool]) -> None:
    """Mark those without a result whose agent did not go on, in its next call, with results of others."""
    went_on = {(tool.carried, tool.agent) for tool in every}
    following: dict[str, int] = {}  # each agent's next call, seen from behind
    next_of: list[int | None] = []
    for place in range(len(calls) - 1, -1, -1):
        next_of.append(following.get(calls[place].agent))
        following[calls[place].agent] = place
    next_of.reverse()
    for tool in every:
        next_call = next_of[tool.asked]
        if tool.end == UNANSWERED and (next_call is None or (next_call, tool.agent) not in went_on):
            tool.end = ENDED_THERE
