"""The examples in other frameworks, as their users measure them; a framework that is not installed is left out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from agents_model import Model, arithmetic
from agents_runs import errors, measure, tasks
from shosei.gateway import FaultRates
from shosei.log import Request, Score
from shosei.systems.system import System

EXAMPLES = Path(__file__).parents[2] / "examples" / "agents"
FAULTS = ["429=0.05", "500=0.03", "cut=0.02"]
SEED = 8  # of each fault, one within seventeen calls


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    server = Model(arithmetic)
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("name", "package", "known_by"),
    [("openai", "openai", "header"), ("openai_agents", "openai-agents", "header"), ("langgraph", "langgraph", "path")],
)
def test_every_call_of_both_agents_is_known_and_broken_ones_are_repeated(
    tmp_path: Path, model: Model, name: str, package: str, known_by: str
) -> None:
    try:
        version(package)  # of the distribution: other modules have such names, too
    except PackageNotFoundError:
        pytest.skip(f"needs {package}")
    system = System.of_command(name, [sys.executable, str(EXAMPLES / f"{name}_two_agents.py")])
    given = tasks(["123*457是多少？"] * 5, "56211")
    log = measure(tmp_path / "run", system, model.url, given, inject=FAULTS, seed=SEED, concurrency=2)
    assert set(errors(log).values()) == {""}
    assert {score.answer.strip() for score in log.of(Score)} == {"56211"}
    requests = log.of(Request)
    assert {request.attribution for request in requests} == {known_by}
    assert Counter(request.agent for request in requests if not request.error) == {"solver": 10, "checker": 5}
    faults = FaultRates.parse(FAULTS, SEED)
    drawn = [faults.draw(number) for number in range(1, len(requests) + 1)]
    assert sum(bool(request.error) for request in requests) == sum(map(bool, drawn)) > 0


@pytest.mark.parametrize("said", ["", "不知道", {"name": "calculator", "arguments": {"expression": "("}}])
def test_a_weak_model_does_not_keep_the_plain_example_from_its_end(
    tmp_path: Path, said: str | dict[str, object]
) -> None:
    server = Model(lambda body: said if body.get("tools") else "")
    system = System.of_command("openai", [sys.executable, str(EXAMPLES / "openai_two_agents.py")])
    log = measure(tmp_path / "run", system, server.url, tasks(["1*1是多少？"]))
    server.stop()
    [score] = log.of(Score)
    assert score.error == ("" if said else "no answer")
    assert score.answer.startswith("Error" if isinstance(said, dict) else said)


def test_the_examples_read_their_settings(tmp_path: Path) -> None:
    server = Model(lambda body: "OK" if body["messages"][0]["content"] == "看看" else "42")
    (tmp_path / "solve_zh.txt").write_text("想想", encoding="utf-8")
    (tmp_path / "check_zh.txt").write_text("看看", encoding="utf-8")
    system = System.of_command("openai", [sys.executable, str(EXAMPLES / "openai_two_agents.py")])
    measure(tmp_path / "run", system, server.url, tasks(["6*7是多少？"]), settings=tmp_path)
    server.stop()
    assert [body["messages"][0]["content"] for body in server.bodies] == ["想想", "看看"]
