"""What an agent system's tasks cost in money, by a profile's price table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from shosei.log import Log, Request
from shosei.metrics.accuracy.over_single import (
    Cost,
    GradedTask,
    by_system,
    cost_of_each,
    cost_per_solved,
    cost_per_task,
)
from shosei.metrics.metric import Figure, Key, Row, Table, Text, text
from shosei.metrics.observed.answers import cluster_of, task_key
from shosei.metrics.observed.tasks import as_seen, by_named_task, by_task, calls, names, submitted
from shosei.metrics.prices import Prices
from shosei.metrics.stats.observations import Observation, Observations, ratio
from shosei.metrics.value import Unmeasurable, Value

_FIGURES: dict[str, Callable[[Sequence[GradedTask], Cost], Figure]] = {
    "cost_per_task": cost_per_task,
    "cost_per_solved": cost_per_solved,
}
_OF = {"cost_per_task": "agents.a_task", "cost_per_solved": "agents.a_solved_task"}
_FREE = ("connect", "4xx", "429", "5xx", "context limit")  # errors of calls that no model has answered


def money(log: Log, graded: Sequence[GradedTask], prices: Prices) -> tuple[dict[str, Figure], list[Table], list[Text]]:
    """The cost of a task and of a solved one, each agent's share of it, and what is not known.

    A cost is None where a call is of a model without a price, or nobody counted its tokens. What was refused or never
    reached the model is free; an answer that was broken off has its price, which nobody knows.
    """
    paid = _paid(calls(log)[1])
    cost = _cost(paid, prices)
    figures = {name: per(graded, cost) for name, per in _FIGURES.items()}
    tables = [_totals(figures, prices), _agents(paid, len(submitted(log)), prices)]
    return figures, tables, _unknown(paid, prices)


def money_as_seen(made: list[Request], prices: Prices) -> tuple[list[Table], list[Text]]:
    """The cost of calls that only a gateway saw: each agent's and, where each call names its task, a task's."""
    paid, tasks = _paid(made), by_named_task(made)
    if any(not call.task for call in made):
        return [_agents(paid, None, prices)], _unknown(paid, prices)
    cost = _cost(paid, prices)
    of_tasks = {"cost_per_task": cost_of_each(as_seen(tasks), cost)}
    return [_totals(of_tasks, prices), _agents(paid, len(tasks), prices)], _unknown(paid, prices)


def cost_of_tasks(name: str, prices: Prices) -> Callable[[Log], Value]:
    """One of the figures of ``money`` as a value of its own, with what each task adds to it."""

    def compute(log: Log) -> Value:
        paid, graded = _paid(calls(log)[1]), by_system(log)
        figure = _FIGURES[name](graded, _cost(paid, prices))
        if figure.value is None:
            unknown = _unknown(paid, prices)
            raise Unmeasurable("not_measured", unknown[0] if unknown else "agents.none_solved")
        return Value(
            figure.value,
            n=len(graded),
            clusters=figure.n,
            unit_of_n="accuracy.clusters",
            ci=figure.ci or (None, None),
            observations=_observations(graded, _cost(paid, prices), name),
        )

    return compute


def _observations(graded: Sequence[GradedTask], cost: Cost, name: str) -> Observations:
    """One a task: what its samples cost, and how many they are or, for ``cost_per_solved``, how many solved it."""
    tasks: dict[str, list[GradedTask]] = {}
    for sample in graded:
        tasks.setdefault(task_key(sample.score), []).append(sample)
    each = []
    for key, samples in tasks.items():
        counted = sum(sample.solved for sample in samples) if name == "cost_per_solved" else len(samples)
        spent = math.fsum(cost.of(sample.task) or 0.0 for sample in samples)
        each.append(Observation(key, cluster_of(samples[0].score), {"top": spent, "bottom": counted}))
    return Observations(each, ratio, paired=True)


def _paid(made: Iterable[Request]) -> list[Request]:
    """The calls that cost something, or whose cost nobody knows."""
    return [call for call in made if call.tokens_in is not None or not _is_free(call)]


def _cost(paid: list[Request], prices: Prices) -> Cost:
    """Money, by the calls of a task."""
    by_id = {task: _sum(of_task, prices) for task, of_task in by_task(paid).items()}
    return Cost(prices.currency, lambda task: by_id.get(task.task, 0.0))


def _unknown(paid: Sequence[Request], prices: Prices) -> list[Text]:
    """Why a cost is not known; nothing where it is."""
    return [*_without_price(paid, prices), *_uncounted(paid)]


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
        [text(_OF[name]), figure.value, *(figure.ci or (None, None))] for name, figure in figures.items()
    ]
    amount = text("agents.money_in", currency=prices.currency)
    columns: list[Key | Text] = ["agents.money_of", amount, "term.low_95", "term.high_95"]
    return Table.of("agents.money", columns, rows)


def _agents(model_calls: Sequence[Request], tasks: int | None, prices: Prices) -> Table:
    """Tokens and cost of each agent, and its cost a task where it is known how many ``tasks`` there were."""
    whole = _sum(model_calls, prices)
    rows: list[Row] = []
    for agent, name in sorted(names(model_calls).items()):
        of_agent = [call for call in model_calls if call.agent == agent]
        cost = _sum(of_agent, prices)
        share = cost / whole if cost is not None and whole else None
        tokens = [sum(getattr(call, f"tokens_{kind}") or 0 for call in of_agent) for kind in ("in", "cached", "out")]
        rows.append([name, *tokens, cost, cost / tasks if cost is not None and tasks else None, share])
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


def _without_price(model_calls: Sequence[Request], prices: Prices) -> list[Text]:
    models = sorted({call.model for call in model_calls if prices.of(call.model) is None})
    return [text("agents.without_price", models=[model or "?" for model in models])] if models else []


def _uncounted(model_calls: Sequence[Request]) -> list[Text]:
    count = sum(call.tokens_in is None or call.tokens_out is None for call in model_calls)
    return [text("agents.uncounted", count=count, calls=len(model_calls))] if count else []
