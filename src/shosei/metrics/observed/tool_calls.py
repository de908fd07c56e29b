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
    waiting: list[AskedTool] = []
    for place, call in enumerate(calls):
        for result in call.tool_results:
            for tool, end in _answered(result, call.agent, waiting):
                waiting.remove(tool)
                tool.carried, tool.took_ns = place, _took_ns(calls[tool.asked], call)
                tool.end = end if tool.end == UNANSWERED else tool.end
        asked = [
            AskedTool(task, call.agent, tool.name, tool.id, tool.error or UNANSWERED, place) for tool in call.tool_calls
        ]
        waiting += asked
        every += asked
    if not failed:
        for tool in waiting:
            if tool.end == UNANSWERED and not _left_out(tool, calls, every):
                tool.end = ENDED_THERE
    return every


def _answered(result: ToolResult, agent: str, waiting: Sequence[AskedTool]) -> list[tuple[AskedTool, str]]:
    """The calls among ``waiting`` that the result is of, and how each ended.

    An error without an id is of one of them, and nobody knows of which: the last; of the others nothing is known.
    """
    end = ERROR if result.error else UNDECIDED if result.form == UNDECIDED else ANSWERED
    if result.id:
        named = sorted((tool for tool in waiting if tool.id == result.id), key=lambda tool: tool.agent == agent)
        return [(tool, end) for tool in named[-1:]]
    own = [tool for tool in waiting if tool.agent == agent]
    last = [tool for tool in own if tool.asked == own[-1].asked]
    others = UNDECIDED if result.error else end
    return [(tool, others) for tool in last[:-1]] + [(tool, end) for tool in last[-1:]]


def _took_ns(asked: Request, carried: Request) -> int | None:
    return None if asked.done_ns is None else max(0, carried.scheduled_ns - asked.done_ns)


def _left_out(tool: AskedTool, calls: Sequence[Request], every: Sequence[AskedTool]) -> bool:
    """Whether its agent went on with the results of other calls, and without this one's."""
    later = (place for place, call in enumerate(calls) if place > tool.asked and call.agent == tool.agent)
    place = next(later, None)
    return place is not None and any(other.carried == place and other.agent == tool.agent for other in every)
