"""What an agent system's tasks cost in money, by a profile's price table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from shosei.log import Log, Request
from shosei.metrics.accuracy.over_single import Cost, GradedTask, cost_per_solved, cost_per_task
from shosei.metrics.metric import Figure, Key, Row, Table, Text, Words, text
from shosei.metrics.observed.tasks import by_task, calls, names, submitted
from shosei.metrics.prices import Prices

_FREE = ("connect", "4xx", "429", "5xx", "context limit")  # errors of calls that no model has answered


def money(log: Log, graded: Sequence[GradedTask], prices: Prices) -> tuple[dict[str, Figure], list[Table], list[Words]]:
    """The cost of a task and of a solved one, each agent's share of it, and what is not known.

    A cost is None where a call is of a model without a price, or nobody counted its tokens. What was refused or never
    reached the model is free; an answer that was broken off has its price, which nobody knows.
    """
    model_calls = [call for call in calls(log)[1] if call.tokens_in is not None or not _is_free(call)]
    by_id = {task: _sum(of_task, prices) for task, of_task in by_task(model_calls).items()}
    cost = Cost(prices.currency, lambda task: by_id.get(task.task, 0.0))
    figures = {"cost_per_task": cost_per_task(graded, cost), "cost_per_solved": cost_per_solved(graded, cost)}
    return (
        figures,
        [_totals(figures, prices), _agents(model_calls, len(submitted(log)), prices)],
        [
            *_without_price(model_calls, prices),
            *_uncounted(model_calls),
        ],
    )


def _is_free(call: Request) -> bool:
    return call.error in _FREE or (bool(call.error) and call.sent_ns is None)


def _sum(model_calls: Iterable[Request], prices: Prices) -> float | None:
    """What calls cost together; None where it is not known of some."""
    total = []
    for call in model_calls:
        price = prices.of(call.model)
        cost = price.of(call) if price else None
        if cost is None:
            return None
        total.append(cost)
    return math.fsum(total)


def _totals(figures: dict[str, Figure], prices: Prices) -> Table:
    rows: list[Row] = [
        [text(f"agents.{name}"), figure.value, *(figure.ci or (None, None))]
        for name, figure in zip(("a_task", "a_solved_task"), figures.values(), strict=True)
    ]
    amount = text("agents.money_in", currency=prices.currency)
    columns: list[Key | Text] = ["agents.money_of", amount, "term.low_95", "term.high_95"]
    return Table.of("agents.money", columns, rows)


def _agents(model_calls: Sequence[Request], tasks: int, prices: Prices) -> Table:
    whole = _sum(model_calls, prices)
    rows: list[Row] = []
    for agent, name in sorted(names(model_calls).items()):
        of_agent = [call for call in model_calls if call.agent == agent]
        cost = _sum(of_agent, prices)
        share = cost / whole if cost is not None and whole else None
        tokens = [sum(getattr(call, f"tokens_{kind}") or 0 for call in of_agent) for kind in ("in", "cached", "out")]
        rows.append([name, *tokens, cost, None if cost is None else cost / tasks, share])
    columns: list[Key | Text] = [
        "agents.agent",
        "agents.tokens_in",
        "agents.tokens_cached",
        "agents.tokens_out",
        text("agents.money_in", currency=prices.currency),
        text("agents.cost_a_task", cost=prices.currency),
        "term.share",
    ]
    return Table.of("agents.money_by_agent", columns, rows)


def _without_price(model_calls: Sequence[Request], prices: Prices) -> list[Words]:
    models = sorted({call.model for call in model_calls if prices.of(call.model) is None})
    return [text("agents.without_price", models=[model or "?" for model in models])] if models else []


def _uncounted(model_calls: Sequence[Request]) -> list[Words]:
    count = sum(call.tokens_in is None or call.tokens_out is None for call in model_calls)
    return [text("agents.uncounted", count=count, calls=len(model_calls))] if count else []
