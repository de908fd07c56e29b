"""Where the time of a task goes: the calls that it waited for, and how many of them ran at once."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from shosei.log import Request, Workflow


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
