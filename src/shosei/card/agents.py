"""The agents of a system at a glance: what each did, how it fared, and how much of the tasks' time waited for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from shosei.log import Log
from shosei.metrics.metric import Metric, Row, Table, Text, Words, text
from shosei.metrics.observed.tasks import by_task, calls, ended_badly, in_stretches, names, submitted
from shosei.metrics.observed.tool_calls import AskedTool, asked_tools
from shosei.metrics.reliability.tool_success import tool_success
from shosei.quantity import Shown, shown

MOST = 24  # on the card; the tables of the cells have them all
_COLUMNS = {  # beside an agent's name: heading to field
    "glance.path": "path_share",
    "agents.calls": "calls",
    "agents.tokens_in": "tokens_in",
    "agents.tokens_out": "tokens_out",
    "reliability.errors": "errors",
    "glance.tool_calls": "tool_calls",
    "glance.tool_success": "tool_success",
}

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
    cost: float | None = None


class Agents(msgspec.Struct, frozen=True, kw_only=True):
    """Those that take most of the critical path, and where that is not known, make most calls."""

    rows: list[Agent]
    more: int  # agents that are not among the rows
    currency: str = ""  # of what they cost; empty where no profile has prices

    NAME: ClassVar = "agents.agent"  # the heading above their names
    SHARES: ClassVar = ("path_share", "tool_success")

    @property
    def columns(self) -> dict[str, str]:
        """The columns beside an agent's name, heading to field of ``Agent``; the cost, where the profile has prices."""
        return _COLUMNS | ({"glance.cost": "cost"} if self.currency else {})

    def value(self, agent: Agent, field: str) -> Shown | Words | int | None:
        """What a field of an agent shows: a share, the words for an amount, or a count."""
        if field in self.SHARES:
            return shown(getattr(agent, field), "")
        return self._money(agent.cost) if field == "cost" else getattr(agent, field)

    @property
    def path_note(self) -> Text:
        """What the shares of the critical path are, or where it is told why there are none."""
        is_known = any(agent.path_share is not None for agent in self.rows)
        return text("glance.path_is") if is_known else text("glance.no_path")

    def _money(self, amount: float | None) -> Words:
        return text("glance.amount", amount=amount, currency=self.currency) if amount is not None else "–"


def agents(log: Log, metrics: Sequence[Metric]) -> Agents | msgspec.UnsetType:
    """The agents as the tables of the cells have them; nothing where no call of an agent is in the log."""
    made, tasks = calls(log)[1], submitted(log)
    counted = _lines(metrics, "agents.agents")
    if not counted:
        return msgspec.UNSET
    timed = _lines(metrics, "agents.time")
    paid = _lines(metrics, "agents.money_by_agent")
    asked = asked_tools(by_task(made) if tasks else in_stretches(made), ended_badly(tasks))
    guessed = {call.agent for call in made if call.attribution == "prompt"}
    rows = [
        _agent(name, agent in guessed, [*counted, *timed, *paid], [tool for tool in asked if tool.agent == agent])
        for agent, name in sorted(names(made).items())
    ]
    rows.sort(key=lambda agent: (-(agent.path_share or 0.0), -agent.calls))
    return Agents(rows=rows[:MOST], more=len(rows[MOST:]), currency=_currency(metrics))


def _lines(metrics: Sequence[Metric], key: str) -> list[Line]:
    """The rows of one table of inference, in whichever cell it stands."""
    cells = [metric for metric in metrics if metric.phase == "inference"]
    tables = [table for metric in cells for table in metric.breakdown if table.key == key]
    return [_line(table, row) for table in tables for row in table.rows]


def _line(table: Table, row: Row) -> Line:
    return dict(zip([column.key if isinstance(column, Text) else column for column in table.columns], row, strict=True))


def _agent(name: Words, guessed: bool, lines: Sequence[Line], asked: Sequence[AskedTool]) -> Agent:
    line: Line = {}
    for part in lines:
        line = part | line if part["agents.agent"] == name else line
    figures, _, _ = tool_success(asked)
    return Agent(
        name=name,
        guessed=guessed,
        path_share=_number(line.get("agents.share_of_path")),
        calls=int(_number(line["agents.calls"]) or 0),
        tokens_in=_count(line["agents.tokens_in"]),
        tokens_out=_count(line["agents.tokens_out"]),
        errors=int(_number(line["reliability.errors"]) or 0),
        tool_calls=len(asked),
        tool_success=figures["tool_success"].value if figures else None,
        cost=_number(line.get("agents.money_in")),
    )


def _currency(metrics: Sequence[Metric]) -> str:
    """In which the table of what agents cost counts."""
    tables = [table for metric in metrics for table in metric.breakdown if table.key == "agents.money_by_agent"]
    columns = [column for table in tables for column in table.columns if isinstance(column, Text)]
    return next((str(column.values["currency"]) for column in columns if column.key == "agents.money_in"), "")


def _number(value: Words | int | float | None) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _count(value: Words | int | float | None) -> int | None:
    return value if isinstance(value, int) else None
