"""What became of the programs among the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from shosei.log import Exec
from shosei.metrics.metric import Row, Table
from shosei.metrics.text import Words, text

OUTCOMES = (
    "pass", "wrong", "exception", "cpu timeout", "wall timeout", "out of memory", "killed by signal",
    "sandbox violation", "no code", "infra",
)  # fmt: skip


def program_outcomes(executions: Iterable[Exec]) -> list[Table]:
    """How many programs had each outcome, by isolation and by where their tests ran; ``infra`` is in no score."""
    counts = Counter((run.outcome, run.level, run.oracle) for run in _last(executions))
    if not counts:
        return []
    rows: list[Row] = []
    for outcome in (*OUTCOMES, *sorted({found for found, _, _ in counts} - {*OUTCOMES})):
        name = text(f"accuracy.{outcome.replace(' ', '_')}") if outcome in OUTCOMES else outcome
        found = sorted(key for key in counts if key[0] == outcome)
        rows += [[name, level, oracle, counts[outcome, level, oracle]] for _, level, oracle in found]
        if not found:
            rows.append([name, None, None, 0])
    names = ("outcome", "isolation", "oracle", "n")
    return [Table(text("accuracy.programs"), [text(f"accuracy.{name}") for name in names], rows)]


def judged_inside(executions: Iterable[Exec]) -> list[Words]:
    """A note where tests ran in the candidate's own process: wrong code can pass by deceiving them."""
    items = sorted({f"{run.suite}/{run.item}" for run in executions if run.oracle == "in_process"})
    return [text("accuracy.judged_inside", n=len(items), items=items)] if items else []


def _last(executions: Iterable[Exec]) -> list[Exec]:
    """A restart may run a program again: its last outcome counts."""
    return list({(run.suite, run.item, run.sample): run for run in executions}.values())
