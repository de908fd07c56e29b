"""What the command said that judged an agent system's tasks: the exit codes of a program of the user's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from shosei.log import Exec
from shosei.metrics.grading.grade import COMMAND
from shosei.metrics.metric import Row, Table

_COLUMNS = ("accuracy.command", "accuracy.isolation", "accuracy.solved", "accuracy.not_solved", "accuracy.no_verdict")


def verdicts(executions: Iterable[Exec]) -> list[Table]:
    """How often each command found a task solved, not solved, or gave no verdict; the last are in no score."""
    last = {(run.suite, run.item, run.sample): run for run in executions if run.oracle == COMMAND}
    counts: dict[tuple[str, str], Counter[str]] = {}
    for run in last.values():
        counts.setdefault((run.program, run.level), Counter()).update([run.outcome])
    rows: list[Row] = [
        [command, level, count["pass"], count["wrong"], count.total() - count["pass"] - count["wrong"]]
        for (command, level), count in sorted(counts.items())
    ]
    return [Table.of("accuracy.verdicts", _COLUMNS, rows)] if rows else []
