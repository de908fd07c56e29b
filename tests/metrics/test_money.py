"""What an agent system's tasks cost in money, on a run whose numbers follow by hand (``agent_samples``)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import recorded
from agent_samples import TASKS, events, solved
from recorded import rows
from shosei.log import Event, Request
from shosei.metrics import Metric
from shosei.metrics.prices import Price, Prices

# Of 128 calls 120 have 20 tokens in and 5 out; 8 failed and have none.
SPENT = 120 * (20 * 2.0 + 5 * 8.0) / 1e6
SOLVED = sum(map(solved, range(TASKS)))


def prices(**changes: Any) -> Prices:
    return Prices(**{"currency": "CNY", "default": Price(**{"in": 2.0, "out": 8.0})} | changes)


def costs(table: Prices | None, **changes: Any) -> Metric:
    """pass@1 of the run, whose calls have these ``changes``."""

    def changed(event: Event) -> Event:
        return msgspec.structs.replace(event, **changes) if isinstance(event, Request) and not event.error else event

    return recorded.metric_of([changed(event) for event in events()], "pass_at_1", "inference", prices=table)


def figure(metric: Metric, name: str) -> float | None:
    return metric.figures[name].value


def test_a_solved_task_pays_for_the_failed_ones_too() -> None:
    metric = costs(prices())
    assert figure(metric, "cost_per_task") == pytest.approx(SPENT / TASKS)
    assert figure(metric, "cost_per_solved") == pytest.approx(SPENT / SOLVED)
    assert {metric.figures[f"cost_per_{what}"].unit for what in ("task", "solved")} == {"CNY"}
    low, high = metric.figures["cost_per_solved"].ci or (None, None)
    assert low is not None
    assert high is not None
    assert low < SPENT / SOLVED < high
    assert rows(metric, "Cost by the profile's prices")["a task"][0] == pytest.approx(SPENT / TASKS)


def test_agents_share_the_cost() -> None:
    """Of the 120 calls each of the three agents has 40."""
    agents = rows(costs(prices()), "Cost of each agent")
    assert sorted(agents) == ["kana", "router", "sums"]
    assert agents["kana"] == pytest.approx([800, 0, 200, SPENT / 3, SPENT / 3 / TASKS, 1 / 3])


def test_cached_tokens_have_a_price_of_their_own() -> None:
    cheap = Price(**{"in": 2.0, "out": 8.0, "cached": 0.5})
    metric = costs(prices(default=cheap), tokens_cached=15)
    assert figure(metric, "cost_per_task") == pytest.approx(120 * (5 * 2 + 15 * 0.5 + 5 * 8) / 1e6 / TASKS)
    assert figure(costs(prices(), tokens_cached=15), "cost_per_task") == pytest.approx(SPENT / TASKS)
    assert figure(costs(prices(default=cheap), tokens_cached=99), "cost_per_task") == pytest.approx(
        120 * (20 * 0.5 + 5 * 8) / 1e6 / TASKS
    ), "no more tokens are cached than there are"


def test_a_model_has_its_own_price_or_the_default() -> None:
    free = {"mini": Price(**{"in": 0.0, "out": 0.0})}
    assert figure(costs(prices(models=free), model="mini"), "cost_per_task") == 0.0
    assert figure(costs(prices(models=free), model="other"), "cost_per_task") == pytest.approx(SPENT / TASKS)


def test_without_a_price_table_there_is_no_cost() -> None:
    metric = costs(None)
    assert not [name for name in metric.figures if name.startswith("cost")]
    assert metric.breakdown == [t for t in costs(prices()).breakdown if not str(t.key).startswith("agents.money")]


def test_a_model_without_a_price_and_tokens_that_nobody_counted_leave_the_cost_unknown() -> None:
    unnamed = costs(prices(default=None, models={"mini": Price(**{"in": 1.0, "out": 1.0})}), model="huge")
    assert figure(unnamed, "cost_per_task") is figure(unnamed, "cost_per_solved") is None
    assert any("no price for huge" in str(note) for note in unnamed.notes)
    uncounted = costs(prices(), tokens_out=None)
    assert figure(uncounted, "cost_per_task") is None
    assert any("120 of 120 calls" in str(note) for note in uncounted.notes)


BROKEN_OFF = [("disconnect", 1, False), ("budget", 1, False), ("timeout", 1, False)]


@pytest.mark.parametrize(("error", "sent_ns", "is_free"), [("429", 1, True), ("budget", None, True), *BROKEN_OFF])
def test_an_answer_that_was_broken_off_has_a_price_that_nobody_knows(
    error: str, sent_ns: int | None, is_free: bool
) -> None:
    def changed(event: Event) -> Event:
        of_task = isinstance(event, Request) and event.error
        return msgspec.structs.replace(event, error=error, sent_ns=sent_ns) if of_task else event

    metric = recorded.metric_of([changed(event) for event in events()], "pass_at_1", "inference", prices=prices())
    assert (figure(metric, "cost_per_task") is not None) == is_free
