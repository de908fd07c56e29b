"""pass@1 of an agent system: the share of tasks solved, what one costs, and what a single agent makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shosei.log import Log, Workflow
from shosei.metrics.accuracy.pass_rates import pass_at_1
from shosei.metrics.agents.attempts import COSTS, Attempt, by_baseline, by_system, cost_per_solved, mean_cost
from shosei.metrics.agents.beside_single import beside_single
from shosei.metrics.agents.tasks import submitted
from shosei.metrics.cell import Value
from shosei.metrics.metric import Figure, Row, Table
from shosei.metrics.text import Text, text


def solved_tasks(log: Log) -> Value:
    """``pass_at_1`` of the tasks, with their cost, beside a single agent where one was given the same tasks."""
    found = pass_at_1(log)
    attempts, single = by_system(log), by_baseline(log)
    costs = {f"{name}_per_solved": cost_per_solved(attempts, cost) for name, cost in COSTS.items()}
    figures, tables, notes = beside_single(attempts, single)
    found.figures |= costs | figures
    found.breakdown = [*found.breakdown[:1], *tables, _costs(attempts, costs), *found.breakdown[1:]]
    found.notes = [*notes, *stopped(submitted(log)), *found.notes]
    return found


def stopped(tasks: Sequence[Workflow]) -> list[Text]:
    """Notes on tasks that ran out of what they were allowed."""
    reasons = Counter(task.message for task in tasks if task.error == "budget")  # calls | tokens
    return [
        text("agents.stopped", count=count, tasks=len(tasks), reason=text(f"agents.{reason}"))
        for reason, count in sorted(reasons.items())
    ]


def _costs(attempts: Sequence[Attempt], costs: dict[str, Figure]) -> Table:
    rows: list[Row] = [
        [text(f"agents.{name}"), mean_cost(attempts, cost), figure.value, *(figure.ci or (None, None))]
        for (name, cost), figure in zip(COSTS.items(), costs.values(), strict=True)
    ]
    columns = [
        text("term.quantity"), text("agents.a_task"), text("agents.a_solved_task"), text("term.low_95"),
        text("term.high_95"),
    ]  # fmt: skip
    return Table(text("agents.costs"), columns, rows)
