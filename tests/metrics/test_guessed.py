"""Agents that were told by their prompts: what is one agent, how it is called, and what the card says of it."""

from __future__ import annotations

from typing import Any

import recorded
from agent_samples import call, events
from shosei.log import Event, Request
from shosei.metrics import Metric

KNOWN = "known by"


def guessed(name: str, begin_ms: int = 430, **changes: Any) -> Request:
    return call(3, name, begin_ms, 1, attribution="prompt", **changes)


def error_rate(*calls: Event) -> Metric:
    return recorded.metric_of([*events(), *calls], "error_rate", "inference", None)


def agents(metric: Metric) -> dict[str, dict[str, Any]]:
    """The table of agents."""
    (table,) = (table for table in metric.breakdown if table.key == "agents.agents")
    return {str(row[0]): dict(zip(map(str, table.columns[1:]), row[1:], strict=True)) for row in table.rows}


def notes(metric: Metric) -> list[str]:
    return list(map(str, metric.notes))


def test_a_guess_is_shown_as_one() -> None:
    metric = error_rate(guessed("You plan. #0001.a000"), guessed("You plan. #0001.a000", 440))
    assert agents(metric)["You plan. (guessed)"] == {
        "calls": 2,
        "tokens in": 40,
        "tokens out": 10,
        "errors": 0,
        "repeated after an error": 0,
        KNOWN: "prompt",
    }
    assert any(note.startswith("2 of ") and "guessed" in note for note in notes(metric))
    assert not any("guessed" in note for note in notes(error_rate()))


def test_names_that_begin_alike_have_digits() -> None:
    names = {*agents(error_rate(guessed("You plan. #0001.a000"), guessed("You plan. #0002.b000"), guessed("x #1.2")))}
    assert {"You plan. a000 (guessed)", "You plan. b000 (guessed)", "x #1.2 (guessed)"} <= names


def test_many_wordings_of_one_beginning_are_one_agent_and_few_are_several() -> None:
    """A prompt with a variable that no rule knows; beside it two agents whose long prompts begin alike."""
    template = [guessed(f"You plan. #0001.{number:04x}", 430 + number) for number in range(9)]
    alike = [guessed(f"You solve. #0002.{number:04x}", 500 + number) for number in range(2)]
    found = agents(error_rate(*template, *alike))
    assert found["You plan. (guessed)"]["calls"] == 9
    assert [found[f"You solve. {digits} (guessed)"]["calls"] for digits in ("0000", "0001")] == [1, 1]
    assert len(agents(error_rate(*template[:8]))) == len(agents(error_rate())) + 8


def test_of_too_many_the_rest_are_unattributed() -> None:
    many = [guessed(f"Task {number}. #{number:04x}.0000", 430 + number) for number in range(70)]
    often = [guessed("Task 69. #0045.0000", 600 + number) for number in range(5)]
    metric = error_rate(*many, *often)
    found = agents(metric)
    assert sum("guessed" in name for name in found) == 64
    assert found["Task 69. (guessed)"]["calls"] == 6
    assert (found["unattributed"]["calls"], found["unattributed"][KNOWN]) == (6, None)
    assert any(note.startswith("6 calls") and "64" in note for note in notes(metric))
