"""The agents of a system at a glance: what each did, how it fared, and how much of the tasks' time waited for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from shosei.log import Log, Request
from shosei.metrics.metric import Metric, Row, Table, Text, Words
from shosei.metrics.observed.tasks import by_task, calls, in_stretches, names, submitted
from shosei.metrics.reliability.error_rate import tool_success

MOST = 24  # on the card; the tables of the cells have them all

Line = dict[str, Words | int | float | None]  # of a table, by the key of the column


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """One agent. None is not measured."""

    name: Words
    guessed: bool  # told by its prompt alone; its name then says so
    path_share: float | None  # of a task's time, what the critical path spends in its calls, mean over tasks
    calls: int
    tokens_in: int | None
    tokens_out: int | None
    errors: int
    tool_calls: int
    tool_success: float | None


class Agents(msgspec.Struct, frozen=True, kw_only=True):
    """Those that take most of the critical path, and where that is not known, make most calls."""

    rows: list[Agent]
    more: int  # agents that are not among the rows


def agents(log: Log, metrics: Sequence[Metric]) -> Agents | msgspec.UnsetType:
    """The agents as the tables of the cells have them; nothing where no call of an agent is in the log."""
    made = calls(log)[1]
    counted = _lines(metrics, "error_rate", "agents.agents")
    timed = _lines(metrics, "response_time", "agents.time")
    if not counted:
        return msgspec.UNSET
    tasks = by_task(made) if submitted(log) else in_stretches(made)
    guessed = {call.agent for call in made if call.attribution == "prompt"}
    found = [
        _agent(name, agent in guessed, [*counted, *timed], _of_agent(tasks, agent))
        for agent, name in sorted(names(made).items())
    ]
    found.sort(key=lambda agent: (-(agent.path_share or 0.0), -agent.calls))
    return Agents(rows=found[:MOST], more=len(found[MOST:]))


def _lines(metrics: Sequence[Metric], id: str, key: str) -> list[Line]:
    """The rows of one table of a cell of inference."""
    cells = [metric for metric in metrics if (metric.id, metric.phase) == (id, "inference")]
    tables = [table for metric in cells for table in metric.breakdown if table.key == key]
    return [_line(table, row) for table in tables for row in table.rows]


def _line(table: Table, row: Row) -> Line:
    return dict(zip([column.key if isinstance(column, Text) else column for column in table.columns], row, strict=True))


def _agent(name: Words, guessed: bool, lines: Sequence[Line], tasks: Mapping[str, Sequence[Request]]) -> Agent:
    line: Line = {}
    for part in lines:
        line |= part if part["agents.agent"] == name else {}
    figures, _ = tool_success(tasks)
    return Agent(
        name=name,
        guessed=guessed,
        path_share=_number(line.get("agents.share_of_path")),
        calls=int(_number(line["agents.calls"]) or 0),
        tokens_in=_count(line["agents.tokens_in"]),
        tokens_out=_count(line["agents.tokens_out"]),
        errors=int(_number(line["reliability.errors"]) or 0),
        tool_calls=sum(len(call.tool_calls) for of_task in tasks.values() for call in of_task),
        tool_success=figures["tool_success"].value if "tool_success" in figures else None,
    )


def _of_agent(tasks: Mapping[str, Sequence[Request]], agent: str) -> dict[str, list[Request]]:
    """The tasks with the tool calls of one agent; their results may have come to another."""
    return {
        name: [call if call.agent == agent else msgspec.structs.replace(call, tool_calls=[]) for call in of_task]
        for name, of_task in tasks.items()
    }


def _number(value: Words | int | float | None) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _count(value: Words | int | float | None) -> int | None:
    return value if isinstance(value, int) else None
