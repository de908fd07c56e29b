"""What ran when: an attempt's verbs, supervised processes, epochs, sections, load windows and faults on one clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from shosei.card.words import named
from shosei.log import Epoch, Event, Fault, Log, ProcExit, ProcStart, RunBegin, RunEnd, Section, Window
from shosei.log.process import ProcessKey
from shosei.metrics.metric import Words, text
from shosei.quantity import NS_PER_S

LaneKind = Literal["verb", "process", "epoch", "section", "window", "fault"]
ProcessId = tuple[str, str, int]

_MOST_BARS = 48  # a lane with more is drawn in groups of neighbours


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """Something that took time, in seconds since the attempt's first event.

    ``how`` tells how it ended, where that was recorded; ``failed`` that it was not meant to. ``count`` is above 1 for
    neighbours drawn as one.
    """

    label: Words
    begin: float
    end: float
    how: Words = ""
    failed: bool = False
    count: int = 1


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of one kind in order of time. ``inner``: what happened within the process of the lane before."""

    label: Words
    kind: LaneKind
    bars: list[Bar]
    inner: bool = False


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """``seconds`` from the attempt's first event to its last."""

    seconds: float
    lanes: list[Lane]


def timeline(log: Log) -> Timeline:
    """The attempt's timeline. Boots are joined by their first wall clock, as the log's reader does."""
    clock = _Clock(log)
    owners = _verbs(log, clock) + _processes(log, clock)
    lanes: list[Lane] = []
    for owner in sorted(owners, key=lambda owner: owner.bars[0].begin):
        lanes.append(Lane(label=owner.name, kind=owner.kind, bars=_collapsed(owner.bars)))
        for kind, events in _inner_events(log).items():
            bars = [_stretch(event, clock) for event in events if _process(event) in owner.processes]
            if bars:
                lanes.append(Lane(label=text(f"timeline.{kind}"), kind=kind, bars=_collapsed(bars), inner=True))
    faults = [_fault(fault, clock) for fault in log.of(Fault)]
    if faults:
        lanes.append(Lane(label=text("timeline.fault"), kind="fault", bars=_collapsed(faults)))
    return Timeline(seconds=clock.seconds, lanes=lanes)


def ends_of_verbs(log: Log) -> dict[tuple[ProcessKey, str], RunEnd]:
    """How each verb of each process ended, where it said so."""
    return {(end.process, end.verb): end for end in log.of(RunEnd)}


class _Clock:
    """Seconds since the attempt's first event, over all boots."""

    def __init__(self, log: Log) -> None:
        events = list(log.milestones())
        first: dict[str, tuple[int, int]] = {}  # boot -> monotonic and wall time of its first event
        for event in events:
            now = (event.mono_ns, event.wall_ns)
            first[event.boot] = min(now, first.get(event.boot, now))
        self._offset = {boot: wall - mono for boot, (mono, wall) in first.items()}
        self._last: dict[ProcessId, int] = {}
        for event in events:
            now_ns = event.mono_ns + self._offset[event.boot]
            self._last[_process(event)] = max(now_ns, self._last.get(_process(event), now_ns))
        self._start = min((wall for _, wall in first.values()), default=0)
        self._end = max(self._last.values(), default=self._start)

    @property
    def seconds(self) -> float:
        return _seconds(self._end - self._start)

    def at(self, event: Event, mono_ns: int | None = None) -> float:
        """When the event was written, or a monotonic time that it names."""
        mono_ns = event.mono_ns if mono_ns is None else mono_ns
        return max(0.0, _seconds(mono_ns + self._offset[event.boot] - self._start))

    def last_of(self, process: ProcessId) -> float:
        """When a process was last heard of."""
        return _seconds(self._last[process] - self._start)


@dataclass(slots=True)
class _Owner:
    """A lane of its own, and the processes whose epochs, sections and windows stand below it."""

    name: str
    kind: LaneKind
    bars: list[Bar] = field(default_factory=list)
    processes: set[ProcessId] = field(default_factory=set)


def _verbs(log: Log, clock: _Clock) -> list[_Owner]:
    """A lane a verb. A supervised process has a lane already, and of many ranks the first stands for all."""
    supervised = {(start.host, start.boot, start.child_pid) for start in log.of(ProcStart)}
    ends = ends_of_verbs(log)
    owners: dict[str, _Owner] = {}
    for begin in log.of(RunBegin):
        process = _process(begin)
        if process in supervised or begin.rank:
            continue
        owner = owners.setdefault(begin.verb, _Owner(begin.verb, "verb"))
        owner.processes.add(process)
        end = ends.get((begin.process, begin.verb))
        how = text("timeline.exit_code", code=end.exit_code) if end else text("no_end")
        owner.bars.append(
            Bar(
                label=begin.verb,
                begin=clock.at(begin),
                end=clock.at(end) if end else clock.last_of(process),
                how=how,
                failed=end is None or end.exit_code != 0,
            )
        )
    return list(owners.values())


def _processes(log: Log, clock: _Clock) -> list[_Owner]:
    """A lane a supervised process of a machine, a bar for each of its starts, whichever supervisor made it."""
    ends = {(end.process, end.child, end.start): end for end in log.of(ProcExit)}
    owners: dict[tuple[str, str], _Owner] = {}
    for start in log.of(ProcStart):
        owner = owners.setdefault((start.host, start.child), _Owner(start.child, "process"))
        owner.processes.add((start.host, start.boot, start.child_pid))
        end = ends.get((start.process, start.child, start.start))
        how = named("timeline.cause", end.cause) if end else text("no_end")
        owner.bars.append(
            Bar(
                label=text("timeline.start", start=start.start),
                begin=clock.at(start),
                end=clock.at(end) if end else clock.last_of(_process(start)),
                how=how,
                failed=end is None or not end.planned,
            )
        )
    return list(owners.values())


def _inner_events(log: Log) -> dict[LaneKind, list[Epoch] | list[Section] | list[Window]]:
    epochs = {(_process(epoch), epoch.index): epoch for epoch in log.of(Epoch)}  # the last word on each
    return {"epoch": list(epochs.values()), "section": log.of(Section), "window": log.of(Window)}


def _stretch(event: Epoch | Section | Window, clock: _Clock) -> Bar:
    if isinstance(event, Epoch):
        label: Words = text("timeline.epoch_number", index=event.index)
    else:
        label = named("timeline.name", event.name)
    return Bar(label=label, begin=clock.at(event, event.begin_ns), end=clock.at(event, event.end_ns))


def _fault(fault: Fault, clock: _Clock) -> Bar:
    end = clock.seconds if fault.end_ns is None else clock.at(fault, fault.end_ns)
    how = text("timeline.injected") if fault.injected else ""
    label = f"{fault.name} ({fault.child})" if fault.child else fault.name
    return Bar(label=label, begin=clock.at(fault, fault.begin_ns), end=end, how=how, failed=not fault.injected)


def _collapsed(bars: list[Bar]) -> list[Bar]:
    """At most ``_MOST_BARS``, in order of time: a job that was restarted 500 times must stay legible."""
    bars = sorted(bars, key=lambda bar: (bar.begin, bar.end))
    size = math.ceil(len(bars) / _MOST_BARS)
    groups = [bars[start : start + size] for start in range(0, len(bars), max(1, size))]
    return [group[0] if len(group) == 1 else _joined(group) for group in groups]


def _joined(bars: list[Bar]) -> Bar:
    failed = sum(bar.failed for bar in bars)
    return Bar(
        label=text("timeline.several", first=bars[0].label, last=bars[-1].label, count=len(bars)),
        begin=bars[0].begin,
        end=max(bar.end for bar in bars),
        failed=failed > 0,
        count=len(bars),
        how=text("timeline.several_failed", failed=failed, count=len(bars)) if failed else "",
    )


def _process(event: Event) -> ProcessId:
    return event.host, event.boot, event.pid


def _seconds(ns: int) -> float:
    return round(ns / NS_PER_S, 3)
