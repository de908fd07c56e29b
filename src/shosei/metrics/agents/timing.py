"""Which agents a task's time goes to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from shosei.log import Request, Workflow
from shosei.metrics import stats
from shosei.metrics.agents.critical_path import Span, covered_ns, critical_path, spans
from shosei.metrics.experience.latency import response_ms
from shosei.metrics.metric import Row, Table
from shosei.metrics.text import Words, text


def tables(
    submitted: Sequence[Workflow], tasks: Mapping[str, Sequence[Request]], named: Mapping[str, Words]
) -> list[Table]:
    """The time of each agent's calls and its share of the critical path, and of what tasks' time is made."""
    timed = [(task, spans(task, tasks.get(task.task, []))) for task in submitted if task.end_ns > task.scheduled_ns]
    paths = [(task.end_ns - task.scheduled_ns, critical_path(found)) for task, found in timed]
    if not any(path for _, path in paths):
        return []
    return [_agents(tasks, named, paths), _whole([found for _, found in timed], paths)]


def _agents(
    tasks: Mapping[str, Sequence[Request]], named: Mapping[str, Words], paths: Sequence[tuple[int, list[Span]]]
) -> Table:
    waits: dict[str, list[float]] = {agent: [] for agent in named}
    for call in (call for made in tasks.values() for call in made):
        if (wait := response_ms(call)) is not None:
            waits[call.agent].append(wait)
    whole = math.fsum(wait for own in waits.values() for wait in own)
    rows: list[Row] = [
        [
            named[agent], len(waits[agent]), math.fsum(waits[agent]) / whole if whole else None,
            stats.percentile(waits[agent], 50), stats.percentile(waits[agent], 95), _mean_share(paths, agent),
        ]
        for agent in sorted(named)
    ]  # fmt: skip
    columns: list[Words] = [
        text("agents.agent"), text("agents.calls"), text("agents.share_of_time"), "p50 (ms)", "p95 (ms)",
        text("agents.share_of_path"),
    ]  # fmt: skip
    return Table(text("agents.time"), columns, rows)


def _whole(found: Sequence[Sequence[Span]], paths: Sequence[tuple[int, list[Span]]]) -> Table:
    inside = stats.mean([sum(span.length_ns for span in path) / lasted for lasted, path in paths])
    together = sum(span.length_ns for calls in found for span in calls)
    rows: list[Row] = [
        [text("agents.path_share"), inside],
        [text("agents.own_share"), 1 - inside],
        [text("agents.path_calls"), stats.mean([float(len(path)) for _, path in paths])],
        [text("agents.parallelism"), together / sum(map(covered_ns, found))],
    ]
    return Table(text("agents.critical_path"), [text("term.quantity"), text("term.value")], rows)


def _mean_share(paths: Sequence[tuple[int, list[Span]]], agent: str) -> float:
    """Of the tasks' time, the mean share that the critical path spends in calls of ``agent``."""
    return stats.mean([
        sum(span.length_ns for span in path if span.agent == agent) / lasted for lasted, path in paths
    ])  # fmt: skip
