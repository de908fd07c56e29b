"""Tool time: how long an agent waits for what it asked of a tool, as the gateway can see it."""

from __future__ import annotations

from collections.abc import Sequence

from shosei.metrics import stats
from shosei.metrics.metric import Key, Row, Table, Text, text
from shosei.metrics.observed.tool_calls import AskedTool
from shosei.quantity import NS_PER_MS


def tool_times(asked: Sequence[AskedTool]) -> list[Table]:
    """Milliseconds from the last byte of the answer with the call to the request with its result, a row a tool.

    Calls of one answer come back in one request, so each has the time of the slowest. A tool that is an agent has the
    time of that agent's calls within. The interval of the median is over tasks.
    """
    timed = [call for call in asked if call.took_ns is not None]
    if not timed:
        return []
    columns: list[Key | Text] = [
        "agents.tool.tool",
        text("term.percentile_ms", percent=50),
        "term.low_95",
        "term.high_95",
        text("term.percentile_ms", percent=95),
        "term.n",
    ]
    rows = [_row(tool, [call for call in timed if call.tool == tool]) for tool in sorted({call.tool for call in timed})]
    return [Table.of("agents.tool.times", columns, rows)]


def _row(tool: str, timed: Sequence[AskedTool]) -> Row:
    tasks: dict[str, list[float]] = {}
    for call in timed:
        tasks.setdefault(call.task, []).append((call.took_ns or 0) / NS_PER_MS)
    times = [time for of_task in tasks.values() for time in of_task]
    interval = stats.percentile_interval(list(tasks.values()), 50)
    return [tool, stats.percentile(times, 50), *interval, stats.percentile(times, 95), len(times)]
