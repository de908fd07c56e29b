"""What became of the tools that agents asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shosei.log import Request
from shosei.metrics import stats
from shosei.metrics.metric import Figure, Row, Table
from shosei.metrics.text import text

# The ends of a tool call, in the order of the table's columns.
_ENDS = ("answered", "unknown tool", "invalid arguments", "unanswered", "error")


@dataclass(slots=True)
class _Asked:
    """A tool call of ``task``. Until a result comes it is ``unanswered``."""

    task: str
    tool: str
    end: str


def _asked(tasks: Mapping[str, Sequence[Request]]) -> list[_Asked]:
    """Every tool call and its end: a wrong call stays one, whatever it was answered."""
    found: list[_Asked] = []
    for task, made in tasks.items():
        waiting: dict[str, _Asked] = {}
        for request in made:
            for result in request.tool_results:
                asked = waiting.pop(result.id, None)
                if asked and asked.end == "unanswered":
                    asked.end = "error" if result.error else "answered"
            for call in request.tool_calls:
                waiting[call.id] = _Asked(task, call.name, call.error or "unanswered")
                found.append(waiting[call.id])
    return found


def tool_success(tasks: Mapping[str, Sequence[Request]]) -> tuple[dict[str, Figure], list[Table]]:
    """The share of tool calls that were answered without an error, as a figure, and a table of every tool.

    The calls of a task are not independent of each other: the interval is over tasks.
    """
    asked = _asked(tasks)
    if not asked:
        return {}, []
    tools = sorted({call.tool for call in asked})
    rows: list[Row] = [[tool, *_line([call for call in asked if call.tool == tool])] for tool in tools]
    if len(tools) > 1:
        rows.append([text("term.total"), *_line(asked)])
    ends = [text("agents.tool." + end.replace(" ", "_")) for end in _ENDS]
    columns = [
        text("agents.tool.tool"), text("agents.calls"), *ends, text("agents.tool.success"), text("term.low_95"),
        text("term.high_95"),
    ]  # fmt: skip
    share, interval = _success(asked)
    figure = Figure(share, "", "higher", interval, len({call.task for call in asked}))
    return {"tool_success": figure}, [Table(text("agents.tool.tools"), columns, rows)]


def _line(asked: Sequence[_Asked]) -> Row:
    counts = Counter(call.end for call in asked)
    share, (low, high) = _success(asked)
    return [len(asked), *(counts[end] for end in _ENDS), share, low, high]


def _success(asked: Sequence[_Asked]) -> tuple[float, stats.Interval]:
    outcomes: dict[str, list[float]] = {}
    for call in asked:
        outcomes.setdefault(call.task, []).append(float(call.end == "answered"))
    share = stats.mean([outcome for task in outcomes.values() for outcome in task])
    return share, stats.wilson_clustered(list(outcomes.values()))
