"""What is known of agents where only a gateway recorded them, beside the same calls with their tasks on record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import agent_samples
import recorded
from gateway_upstream import QUESTION, client, through, well
from shosei.card.words import rendered
from shosei.gateway import Gateway
from shosei.log import Event, Request, RunBegin
from shosei.metrics import Metric, Table
from shosei.metrics.cells import compute
from shosei.metrics.prices import Price, Prices

ON_PATH = "share of a task's time, on the critical path"


def calls(**changes: Any) -> list[Event]:
    """The sample's calls as a gateway recorded them, and nothing else."""
    seen = [event for event in agent_samples.events() if isinstance(event, Request) and event.seen_by == "gateway"]
    begin = RunBegin(verb="gateway", argv=["shosei", "gateway"], hardware=recorded.HARDWARE, phase="inference")
    return [begin, *(msgspec.structs.replace(call, **changes) for call in seen)]


def cell(id: str, events: list[Event]) -> Metric:
    return recorded.metric_of(events, id, "inference")


def tables(metric: Metric) -> dict[str, Table]:
    return {table.key: table for table in metric.breakdown}


def column(table: Table, name: str) -> dict[str, Any]:
    place = [str(column) for column in table.columns].index(name)
    return {str(row[0]): row[place] for row in table.rows}


@pytest.mark.parametrize(
    ("id", "keys"),
    [
        ("error_rate", ["agents.agents", "agents.tool.tools"]),
        ("inference_speed", ["agents.transfers"]),
        ("response_time", ["agents.tool.times"]),
    ],
)
def test_its_tables_are_those_of_the_run_that_gave_the_tasks(id: str, keys: list[str]) -> None:
    alone, given = tables(cell(id, calls())), tables(cell(id, agent_samples.events()))
    for key in keys:
        assert alone[key] == given[key]


def test_figures_are_those_of_calls_and_tools() -> None:
    alone, given = (cell("error_rate", events) for events in (calls(), agent_samples.events()))
    assert alone.value == pytest.approx(8 / 128), "of requests: nobody knows which tasks failed"
    assert alone.status == "ok"
    for name in ("calls", "tool_success"):
        assert alone.figures[name] == given.figures[name]


PRICES = Prices(currency="CNY", default=Price(**{"in": 2.0, "out": 8.0}))
SPENT = 120 * (20 * 2.0 + 5 * 8.0) / 1e6  # of 128 calls 8 failed


def test_with_prices_each_agent_and_each_task_has_its_cost() -> None:
    found = tables(recorded.metric_of(calls(), "error_rate", "inference", prices=PRICES))
    [a_task] = found["agents.money"].rows
    assert a_task[1] == pytest.approx(SPENT / agent_samples.TASKS)
    given = tables(recorded.metric_of(agent_samples.events(), "pass_at_1", "inference", prices=PRICES))
    assert found["agents.money_by_agent"] == given["agents.money_by_agent"]


def test_where_calls_name_no_task_only_agents_have_a_cost() -> None:
    one_unnamed = [*calls()[:-1], *calls(task="")[-1:]]
    metric = recorded.metric_of(one_unnamed, "error_rate", "inference", prices=PRICES)
    assert "agents.money" not in tables(metric)
    assert column(tables(metric)["agents.money_by_agent"], "cost (CNY)")["kana"] == pytest.approx(SPENT / 3)
    assert set(column(tables(metric)["agents.money_by_agent"], "CNY a task").values()) == {None}


def test_tokens_that_nobody_counted_leave_the_cost_unknown() -> None:
    metric = recorded.metric_of(calls(tokens_out=None), "error_rate", "inference", prices=PRICES)
    assert tables(metric)["agents.money"].rows[0][1] is None
    assert any("nobody counted the tokens" in str(note) for note in metric.notes)
    assert "agents.money" not in tables(cell("error_rate", calls()))


def test_a_task_lasts_from_its_first_call_to_its_last_answer() -> None:
    metric = cell("response_time", calls())
    assert (metric.status, metric.value) == ("not_measured", None)
    assert "no load was offered" in str(metric.reason)
    assert any("from its first call to its last answer" in str(note) for note in metric.notes)
    found = tables(metric)
    assert column(found["agents.tasks_by_system"], "mean") == {"from a task's first call to its last answer": 411.0}
    path = column(found["agents.time"], ON_PATH)
    assert path == {"router": pytest.approx(100 / 411), "kana": pytest.approx(300 / 411), "sums": 0.0}
    assert column(found["agents.critical_path"], "value")["calls on the critical path, mean"] == 2.0


def test_without_tasks_each_agent_is_known_and_what_followed_what_is_not() -> None:
    unnamed = calls(task="")
    rate, time, speed = (cell(id, unnamed) for id in ("error_rate", "response_time", "inference_speed"))
    given = tables(cell("error_rate", agent_samples.events()))
    assert tables(rate)["agents.agents"] == given["agents.agents"]
    for end in ("calls", "answered", "success"):
        assert column(tables(rate)["agents.tool.tools"], end) == column(given["agents.tool.tools"], end)
    times = tables(time)
    assert set(times) == {"agents.time", "agents.tool.times"}
    assert set(column(times["agents.time"], ON_PATH).values()) == {None}
    assert column(times["agents.time"], "p50 (ms)")["kana"] == 300.0
    assert tables(speed) == {}
    for metric in (time, speed):
        assert any("128 of 128 calls (100.0%) name no task" in str(note) for note in metric.notes)


def test_calls_without_a_task_change_nothing_in_those_that_have_one() -> None:
    stray = calls(task="", agent="stray", tool_calls=[], tool_results=[])[1:2]
    mixed = [*calls(), *stray]
    metric = cell("response_time", mixed)
    path = column(tables(metric)["agents.time"], ON_PATH)
    assert path == {"router": pytest.approx(100 / 411), "kana": pytest.approx(300 / 411), "sums": 0.0, "stray": 0.0}
    assert tables(cell("inference_speed", mixed))["agents.transfers"].columns[1:] == ["kana", "router", "sums"]
    assert any("1 of 129 calls" in str(note) for note in metric.notes)


def test_a_load_through_the_gateway_is_measured_as_ever_with_the_agents_beside() -> None:
    window = [event for event in agent_samples.events() if type(event).__name__ == "Window"]
    metric = cell("response_time", [*calls(), *window])
    assert metric.value is not None
    assert "agents.time" in tables(metric)


def test_what_a_gateway_writes_is_enough(tmp_path: Path) -> None:
    """Two tasks, each of a writer's call and two of a checker's, and a call that names nothing."""

    async def talk(gateway: Gateway) -> None:
        for task in ("T1", "任务"):
            for agent in ("writer", "checker", "checker"):
                await client(gateway, task, agent).chat.completions.create(**QUESTION)
        await client(gateway).chat.completions.create(**QUESTION)

    log, _ = through(tmp_path, well, talk)
    found = {metric.id: rendered(metric) for metric in compute(log) if metric.phase == "inference"}
    agents = tables(found["error_rate"])["agents.agents"]
    assert column(agents, "calls") == {"writer": 2, "checker": 4, "unattributed": 1}
    assert column(agents, "tokens in") == {"writer": 22, "checker": 44, "unattributed": 11}
    assert column(agents, "tokens out") == {"writer": 14, "checker": 28, "unattributed": 7}
    transfers = tables(found["inference_speed"])["agents.transfers"]
    assert {str(row[0]): row[1:] for row in transfers.rows} == {"checker": [2, 0], "writer": [2, 0]}
    times = tables(found["response_time"])
    assert column(times["agents.tasks_by_system"], "n") == {"from a task's first call to its last answer": 2}
    assert column(times["agents.critical_path"], "value")["calls on the critical path, mean"] == 3.0
