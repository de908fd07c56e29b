"""Where a training rank's wall time went: parts that sum to the whole, through crashes and restarts."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from shosei.log import Log, ProcExit, Section, Step
from shosei.metrics.observed.steps import kept

PARTS = (
    "compute",
    "data_wait",
    "communication",
    "checkpoint",
    "evaluation",
    "warm_up",
    "recovery",
    "lost_work",
    "other",
)
_PART_OF_SECTION = {"compile": "warm_up", "load": "warm_up", "checkpoint": "checkpoint", "evaluation": "evaluation"}

# A moment that several stretches cover counts for the first of these: a way back that failed is still the way back,
# what is lost is nothing else, and a section says more of a moment than the step around it.
_PRECEDENCE = ("recovery", "lost_work", "warm_up", "checkpoint", "evaluation", "step")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A rank was busy with ``part`` from ``begin_ns`` to ``end_ns``; ``step`` where the part is a step."""

    begin_ns: int
    end_ns: int
    part: str
    step: Step | None = None


@dataclass(frozen=True, slots=True)
class WallTime:
    """One rank's time from its first stretch of work to its last, in nanoseconds by ``PARTS``."""

    rank: int
    total_ns: int
    parts_ns: dict[str, int]


def wall_time(log: Log) -> WallTime:
    """The slowest rank's. Ranks work side by side: their times are never added."""
    last = {id(step) for step in kept(log.of(Step))}
    ranks: dict[tuple[str, int], list[Stretch]] = {}  # by boot, within which a clock holds, and rank
    for step in log.of(Step):
        part = "step" if id(step) in last else "lost_work"
        stretch = Stretch(step.ended_ns - step.duration_ns, step.ended_ns, part, step)
        ranks.setdefault((step.boot, step.rank), []).append(stretch)
    for section in log.of(Section):
        if section.name in _PART_OF_SECTION and (section.boot, section.rank) in ranks:
            stretch = Stretch(section.begin_ns, section.end_ns, _PART_OF_SECTION[section.name])
            ranks[section.boot, section.rank].append(stretch)
    crashes = [(end.boot, end.mono_ns) for end in log.of(ProcExit) if not end.planned]
    found = [
        _account(rank, stretches + _outages(stretches, [when for where, when in crashes if where == boot]))
        for (boot, rank), stretches in sorted(ranks.items(), key=lambda item: item[0])
    ]
    return max(found, key=lambda wall: wall.total_ns)


def overlap(stretches: Sequence[Stretch], begin_ns: int, end_ns: int) -> int:
    """Nanoseconds between the two that any of ``stretches`` covers, each moment once."""
    inside = [Stretch(max(s.begin_ns, begin_ns), min(s.end_ns, end_ns), s.part) for s in stretches]
    return sum(_visible([stretch for stretch in inside if stretch.begin_ns < stretch.end_ns]))


def _outages(stretches: Sequence[Stretch], crashes: Sequence[int]) -> list[Stretch]:
    """What each crash cost beside steps that were done again: the work that it cut off, and the way back to a step."""
    found = []
    for crash in crashes:
        if any(stretch.begin_ns < crash < stretch.end_ns for stretch in stretches):
            continue  # this rank worked on: another process crashed
        before = [stretch.end_ns for stretch in stretches if stretch.end_ns <= crash]
        if before:
            found.append(Stretch(max(before), crash, "lost_work"))
        after = [stretch.begin_ns for stretch in stretches if stretch.step and stretch.begin_ns >= crash]
        if after:
            found.append(Stretch(crash, min(after), "recovery"))
    return found


def _account(rank: int, stretches: list[Stretch]) -> WallTime:
    ordered = sorted(stretches, key=lambda stretch: _PRECEDENCE.index(stretch.part))
    parts = dict.fromkeys(PARTS, 0)
    for stretch, visible in zip(ordered, _visible(ordered), strict=True):
        if stretch.part == "step" and stretch.step:
            for part, time_ns in _of_visible_step(stretch.step, visible).items():
                parts[part] += time_ns
        else:
            parts[stretch.part] += visible
    total = max(stretch.end_ns for stretch in stretches) - min(stretch.begin_ns for stretch in stretches)
    parts["other"] = total - sum(parts.values())
    return WallTime(rank, total, parts)


def _of_visible_step(step: Step, visible: int) -> dict[str, int]:
    """A step's time by part. When its waits happened is not known: what else covers the step takes from all alike."""
    waited = min(step.data_wait_ns or 0, step.duration_ns)
    communicated = min(step.comm_wait_ns or 0, step.duration_ns - waited)
    waited, communicated = (time_ns * visible // max(1, step.duration_ns) for time_ns in (waited, communicated))
    return {"data_wait": waited, "communication": communicated, "compute": visible - waited - communicated}


def _visible(stretches: Sequence[Stretch]) -> list[int]:
    """Nanoseconds of each stretch that no earlier one in the sequence covers."""
    visible = [0] * len(stretches)
    edges = sorted({edge for stretch in stretches for edge in (stretch.begin_ns, stretch.end_ns)})
    to_come = sorted(range(len(stretches)), key=lambda index: stretches[index].begin_ns, reverse=True)
    open_now: list[int] = []
    for since, until in itertools.pairwise(edges):
        while to_come and stretches[to_come[-1]].begin_ns <= since:
            heapq.heappush(open_now, to_come.pop())
        while open_now and stretches[open_now[0]].end_ns <= since:
            heapq.heappop(open_now)
        if open_now:
            visible[open_now[0]] += until - since
    return visible
