"""Where the time of a task goes: the calls that it waited for, how many of them ran at once, and whose they were."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shosei.log import Request, Workflow
from shosei.metrics import stats
from shosei.metrics.metric import Key, Row, Table, Text, Words, text
from shosei.quantity import NS_PER_MS


@dataclass(frozen=True, slots=True)
class CallTime:
    """A call within its task's time."""

    agent: str
    begin_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.begin_ns


def call_times(task: Workflow, calls: Sequence[Request]) -> list[CallTime]:
    """The calls that ended, cut to the time from the task's submission to its end."""
    found = []
    for call in calls:
        if call.done_ns is not None:
            begin, end = max(call.scheduled_ns, task.scheduled_ns), min(call.done_ns, task.end_ns)
            if end > begin:
                found.append(CallTime(call.agent, begin, end))
    return found


def critical_path(calls: Sequence[CallTime]) -> list[CallTime]:
    """The chain of calls, none beginning before the one before it has ended, that takes the most time in all.

    Weighted interval scheduling (Kleinberg and Tardos 2005, section 6.1), in order of time.
    """
    ordered = sorted(calls, key=lambda call: (call.end_ns, call.begin_ns, call.agent))
    ends = [call.end_ns for call in ordered]
    compatible = [bisect_right(ends, call.begin_ns) for call in ordered]  # how many have ended when it begins
    longest = [0]  # of the first 0, 1, 2, ... calls
    for call, earlier in zip(ordered, compatible, strict=True):
        longest.append(max(longest[-1], longest[earlier] + call.length_ns))
    chain: list[CallTime] = []
    place = len(ordered)
    while place:
        if longest[place] == longest[place - 1]:
            place -= 1
        else:
            chain.append(ordered[place - 1])
            place = compatible[place - 1]
    return chain[::-1]


def covered_ns(calls: Sequence[CallTime]) -> int:
    """The time in which at least one of the calls was under way."""
    if not calls:
        return 0
    ordered = sorted(calls, key=lambda call: call.begin_ns)
    reached = itertools.accumulate((call.end_ns for call in ordered), max)
    gaps = sum(max(0, call.begin_ns - end) for end, call in zip(reached, ordered[1:], strict=False))
    return max(ends.end_ns for ends in ordered) - ordered[0].begin_ns - gaps


def timing_tables(
    submitted: Sequence[Workflow], tasks: Mapping[str, Sequence[Request]], named: Mapping[str, Words]
) -> list[Table]:
    """The time of each agent's calls and its share of the critical path, and of what tasks' time is made."""
    timed = [
        (task, call_times(task, tasks.get(task.task, []))) for task in submitted if task.end_ns > task.scheduled_ns
    ]
    paths = [(task.end_ns - task.scheduled_ns, critical_path(found)) for task, found in timed]
    if not any(path for _, path in paths):
        return []
    return [agent_times(tasks, named, paths), _whole([found for _, found in timed], paths)]


def agent_times(
    tasks: Mapping[str, Sequence[Request]],
    named: Mapping[str, Words],
    paths: Sequence[tuple[int, list[CallTime]]] = (),
) -> Table:
    """The time of each agent's calls, and its share of tasks' critical paths, each beside its task's length in ns."""
    waits: dict[str, list[float]] = {agent: [] for agent in named}
    for call in itertools.chain.from_iterable(tasks.values()):
        if call.done_ns is not None:
            waits[call.agent].append((call.done_ns - call.scheduled_ns) / NS_PER_MS)
    whole = math.fsum(itertools.chain.from_iterable(waits.values()))
    rows: list[Row] = [
        [
            named[agent],
            len(waits[agent]),
            math.fsum(waits[agent]) / whole if whole else None,
            stats.percentile(waits[agent], 50),
            stats.percentile(waits[agent], 95),
            _mean_share(paths, agent) if paths else None,
        ]
        for agent in sorted(named)
    ]
    columns: list[Key | Text] = [
        "agents.agent",
        "agents.calls",
        "agents.share_of_time",
        text("term.percentile_ms", percent=50),
        text("term.percentile_ms", percent=95),
        "agents.share_of_path",
    ]
    return Table.of("agents.time", columns, rows)


def _whole(found: Sequence[Sequence[CallTime]], paths: Sequence[tuple[int, list[CallTime]]]) -> Table:
    inside = stats.mean([sum(call.length_ns for call in path) / lasted for lasted, path in paths])
    together = sum(call.length_ns for calls in found for call in calls)
    rows: dict[Key, Row] = {
        "agents.path_share": [inside],
        "agents.own_share": [1 - inside],
        "agents.path_calls": [stats.mean([float(len(path)) for _, path in paths])],
        "agents.parallelism": [together / sum(map(covered_ns, found))],
    }
    return Table.of("agents.critical_path", ["term.quantity", "term.value"], rows)


def _mean_share(paths: Sequence[tuple[int, list[CallTime]]], agent: str) -> float:
    """Of the tasks' time, the mean share that the critical path spends in calls of ``agent``."""
    return stats.mean([sum(call.length_ns for call in path if call.agent == agent) / lasted for lasted, path in paths])
