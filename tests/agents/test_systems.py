"""The systems that come with Shosei, each end to end: hosted, behind the gateway, on a scripted model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents_model import Model, arithmetic
from agents_runs import errors, measure, shipped, tasks
from shosei.gateway import FaultRates
from shosei.log import Request, Score, Workflow

QUESTION, PRODUCT = "345*678是多少？", "233910"


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    server = Model(arithmetic)
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("name", "answer", "calls"),
    [
        ("single", "大概是一千", {"single": 1}),
        ("router", PRODUCT, {"router": 1, "zh-calculator": 2}),
        ("checker", PRODUCT, {"solver": 2, "checker": 1}),
        ("planner", PRODUCT, {"planner": 1, "worker-1": 2, "worker-2": 2, "writer": 1}),
        ("debate", "大概是一千", {"debater-1": 2, "debater-2": 2, "debater-3": 2}),
    ],
)
def test_a_shipped_system_answers_and_each_agent_is_known(
    tmp_path: Path, model: Model, name: str, answer: str, calls: dict[str, int]
) -> None:
    log = measure(tmp_path / "run", shipped(name), model.url, tasks([QUESTION], PRODUCT))
    assert [score.answer for score in log.of(Score)] == [answer]
    assert Counter(request.agent for request in log.of(Request)) == calls
    workflow = log.of(Workflow)[0]
    total = sum(calls.values())
    assert (workflow.calls, workflow.tokens_in, workflow.tokens_out) == (total, 10 * total, 2 * total)
    assert {request.task for request in log.of(Request)} == {"0#0"} == {workflow.task}


def test_a_model_that_calls_tools_for_ever_is_given_five_calls(tmp_path: Path) -> None:
    server = Model(
        lambda body: {"name": "calculator", "arguments": {"expression": "1+1"}} if "tools" in body else "zh-calculator"
    )
    log = measure(tmp_path / "run", shipped("router"), server.url, tasks([QUESTION]))
    server.stop()
    assert Counter(request.agent for request in log.of(Request)) == {"router": 1, "zh-calculator": 5}
    assert [score.answer for score in log.of(Score)] == ["2"]  # what its last tool said


def test_a_router_that_names_nobody_leads_to_a_chat(tmp_path: Path) -> None:
    named = {"zh-cooking", "no idea", "fr-", "-"}
    server = Model(lambda body: body["messages"][-1]["content"] if body["messages"][0]["role"] == "system" else "42")
    log = measure(tmp_path / "run", shipped("router"), server.url, tasks(named))
    server.stop()
    assert Counter(request.agent for request in log.of(Request)) == {"router": len(named), "zh-chat": len(named)}
    assert set(errors(log).values()) == {""}


def test_with_a_tenth_of_the_calls_broken_all_finish_and_the_counts_equal_what_was_injected(
    tmp_path: Path, model: Model
) -> None:
    rates = ["429=0.04", "500=0.04", "cut=0.02"]
    given = tasks([QUESTION] * 12, PRODUCT)
    log = measure(tmp_path / "run", shipped("router"), model.url, given, inject=rates, seed=3, concurrency=4)
    assert {score.answer for score in log.of(Score)} == {PRODUCT}
    requests = log.of(Request)
    failed = Counter(request.error for request in requests if request.error)

    faults = FaultRates.parse(rates, 3)
    injected = Counter(faults.draw(number) for number in range(1, len(requests) + 1))
    del injected[""]
    assert failed == {{"500": "5xx", "cut": "cut stream"}.get(kind, kind): count for kind, count in injected.items()}
    assert failed.total() == len(requests) - 36
    assert failed.total() > 0


def test_the_run_s_settings_reach_the_model(tmp_path: Path) -> None:
    server = Model(lambda body: "zh-calculator" if "tools" not in body else "42")
    settings = tmp_path / "settings"
    settings.mkdir()
    told = {
        "route_zh": "谁来？",
        "solve_zh": "慢慢算。\n只答数。\n",
        "examples_zh": "1*1是多少？\n1\n\n\n2*3是多少？\n6\n算好了\n",
        "tool_calculator": "算式子",
        "temperature": "0.25",
    }
    for name, text in told.items():
        (settings / f"{name}.txt").write_text(text, encoding="utf-8")
    measure(tmp_path / "run", shipped("router"), server.url, tasks([QUESTION]), settings=settings)
    server.stop()
    route, solve = server.bodies
    assert [message["content"] for message in route["messages"]] == ["谁来？", QUESTION]
    assert [(message["role"], message["content"]) for message in solve["messages"]] == [
        ("system", "慢慢算。\n只答数。"),
        ("user", "1*1是多少？"),
        ("assistant", "1"),
        ("user", "2*3是多少？"),
        ("assistant", "6\n算好了"),
        ("user", QUESTION),
    ]
    described = {tool["function"]["name"]: tool["function"]["description"] for tool in solve["tools"]}
    assert described == {"calculator": "算式子", "numerals": "Writes a number in zh, ja or digits."}
    assert {route["temperature"], solve["temperature"]} == {0.25}


@pytest.mark.parametrize(("name", "text"), [("calls", "many"), ("examples_zh", "only a question")])
def test_a_setting_that_means_nothing_fails_the_task_by_its_name(
    tmp_path: Path, model: Model, name: str, text: str
) -> None:
    (tmp_path / f"{name}.txt").write_text(text)
    log = measure(tmp_path / "run", shipped("router"), model.url, tasks([QUESTION]), settings=tmp_path)
    [workflow] = log.of(Workflow)
    assert workflow.error == "raised"
    assert text in workflow.message
