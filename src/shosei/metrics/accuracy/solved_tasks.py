"""pass@1 of an agent system's tasks, with what a solved one takes, beside a single agent where there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shosei.log import Log
from shosei.metrics.accuracy.money import money
from shosei.metrics.accuracy.over_single import (
    COSTS,
    GradedTask,
    beside_single,
    by_baseline,
    by_system,
    cost_per_solved,
    mean_cost,
)
from shosei.metrics.accuracy.pass_at_1 import pass_at_1
from shosei.metrics.metric import Figure, Row, Table, text
from shosei.metrics.observed.tasks import stopped, submitted
from shosei.metrics.prices import Prices
from shosei.metrics.value import Value


def solved_tasks(prices: Prices | None) -> Callable[[Log], Value]:
    """``pass_at_1`` of the tasks, with their cost; in money by ``prices``."""

    def compute(log: Log) -> Value:
        value = pass_at_1(log)
        graded = by_system(log)
        costs = {f"{name}_per_solved": cost_per_solved(graded, cost) for name, cost in COSTS.items()}
        figures, tables, notes = beside_single(graded, by_baseline(log))
        paid, paid_tables, unpaid = money(log, graded, prices) if prices else ({}, [], [])
        value.figures |= costs | paid | figures
        value.breakdown = [*value.breakdown[:1], *tables, _costs(graded, costs), *paid_tables, *value.breakdown[1:]]
        value.notes = [*notes, *stopped(submitted(log)), *unpaid, *value.notes]
        return value

    return compute


def _costs(graded: Sequence[GradedTask], costs: dict[str, Figure]) -> Table:
    rows: list[Row] = [
        [text(f"agents.{name}"), mean_cost(graded, cost), figure.value, *(figure.ci or (None, None))]
        for (name, cost), figure in zip(COSTS.items(), costs.values(), strict=True)
    ]
    columns = [
        "term.quantity",
        "agents.a_task",
        "agents.a_solved_task",
        "term.low_95",
        "term.high_95",
    ]
    return Table.of("agents.costs", columns, rows)
