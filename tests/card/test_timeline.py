"""The timeline: what ran when, over processes, boots and restarts, and where it stands on the page."""

from __future__ import annotations

from typing import Any

import pytest

from shosei.card.axis import Axis
from shosei.card.timeline import Bar, Lane, Timeline, timeline
from shosei.card.words import translated
from shosei.log import Epoch, Event, Log, Note, ProcExit, ProcStart, RunBegin, RunEnd, Section, Window
from shosei.log.events import Fault

S = 10**9
NOON = 1_790_000_000 * S


class Recorder:
    """Writes events by hand: at a second since noon, by a process of a boot whose clock began at its own zero."""

    def __init__(self) -> None:
        self.events: dict[type[Event], list[Event]] = {}

    def add(self, event: Event, at: float, pid: int = 1, boot: str = "a", zero: float = 0.0, **more: Any) -> None:
        event.host, event.boot, event.pid, event.start_ticks = f"host-{boot}", boot, pid, 1
        event.mono_ns, event.wall_ns = int((at - zero) * S), NOON + int(at * S)
        self.events.setdefault(type(event), []).append(event)

    @property
    def timeline(self) -> Timeline:
        return timeline(Log(1, self.events))


def lanes(made: Timeline) -> dict[str, list[tuple[str, float, float, str, bool]]]:
    """Lane name to its bars; an inner lane is named after the lane above it."""
    found = {}
    outer = ""
    for lane in made.lanes:
        outer = outer if lane.inner else translated(lane.label)
        name = f"{outer}/{translated(lane.label)}" if lane.inner else outer
        found[name] = [
            (translated(bar.label), bar.begin, bar.end, translated(bar.how), bar.failed) for bar in lane.bars
        ]
    return found


def crashing_job(starts: int, seconds: int = 10) -> Recorder:
    """A supervised trainer that dies at every start but the last."""
    job = Recorder()
    job.add(RunBegin(verb="supervise:train", argv=[]), 0)
    for number in range(1, starts + 1):
        at, pid, last = number * seconds, 100 + number, number == starts
        job.add(ProcStart(child="train", child_pid=pid, argv=[], start=number), at)
        job.add(RunBegin(verb="train", argv=[]), at + 1, pid=pid)
        job.add(Section(name="load", begin_ns=(at + 1) * S, end_ns=(at + 2) * S), at + 2, pid=pid)
        cause = "done" if last else "out of memory"
        end = ProcExit(child="train", child_pid=pid, start=number, planned=last, cause=cause, duration_ns=8 * S)
        job.add(end, at + 8)
    job.add(RunEnd(verb="supervise:train", exit_code=0), (starts + 1) * seconds)
    return job


def test_a_supervised_job_is_told_start_by_start_with_the_causes_of_its_crashes() -> None:
    job = crashing_job(2)
    job.add(Epoch(index=1, begin_ns=22 * S, end_ns=27 * S, steps=1, samples=1, tokens=1), 27, pid=102)
    job.add(Fault(name="kill -9", begin_ns=17 * S, end_ns=18 * S, child="train"), 18)
    made = job.timeline
    assert made.seconds == 30
    assert lanes(made) == {
        "supervise:train": [("supervise:train", 0, 30, "exit code 0", False)],
        "train": [("start 1", 10, 18, "out of memory", True), ("start 2", 20, 28, "done", False)],
        "train/epochs": [("epoch 1", 22, 27, "", False)],
        "train/sections": [("load", 11, 12, "", False), ("load", 21, 22, "", False)],
        "faults": [("kill -9 (train)", 17, 18, "injected on purpose", False)],
    }


def test_five_hundred_restarts_stay_small_and_no_crash_is_lost() -> None:
    made = crashing_job(500).timeline
    train = next(lane for lane in made.lanes if lane.kind == "process")
    assert len(train.bars) <= 48
    assert sum(bar.count for bar in train.bars) == 500
    assert all(bar.failed for bar in train.bars)
    assert translated(train.bars[0].how) == "11 of 11 failed"
    assert train.bars[-1].end == 5008


def test_two_hosts_are_joined_by_their_wall_clocks() -> None:
    log = Recorder()
    log.add(RunBegin(verb="serve", argv=[]), 0, boot="a", zero=-5000)
    log.add(RunEnd(verb="serve", exit_code=0), 100, boot="a", zero=-5000)
    log.add(RunBegin(verb="load", argv=[]), 20, boot="b", zero=15)
    log.add(Window(name="steady", begin_ns=10 * S, end_ns=40 * S), 60, boot="b", zero=15)
    log.add(RunEnd(verb="load", exit_code=4), 70, boot="b", zero=15)
    assert lanes(log.timeline) == {
        "serve": [("serve", 0, 100, "exit code 0", False)],
        "load": [("load", 20, 70, "exit code 4", True)],
        "load/load windows": [("steady", 25, 55, "", False)],
    }


def test_a_process_without_an_end_reaches_to_its_last_word() -> None:
    log = Recorder()
    log.add(RunBegin(verb="exam", argv=[]), 0)
    log.add(Note(level="info", text="still here"), 12)
    log.add(RunBegin(verb="load", argv=[]), 50, pid=2)
    assert lanes(log.timeline)["exam"] == [("exam", 0, 12, "no end recorded", True)]


def test_no_events_make_an_empty_timeline() -> None:
    empty = timeline(Log(1))
    assert (empty.seconds, empty.lanes) == (0, [])
    assert Axis(empty).at(0) == 0


def made_of(*stretches: tuple[float, float]) -> Timeline:
    bars = [Bar(label="x", begin=begin, end=end) for begin, end in stretches]
    return Timeline(seconds=max(bar.end for bar in bars), lanes=[Lane(label="x", kind="verb", bars=bars)])


def test_the_axis_is_to_scale() -> None:
    axis = Axis(made_of((0, 60), (30, 120)))
    assert (axis.at(0), axis.at(30), axis.at(120), axis.width(30, 60)) == (0, 25, 100, 25)
    assert axis.pauses == []
    assert axis.ticks == [(0, "0 s"), (25, "30 s"), (50, "60 s"), (75, "90 s")]


def test_a_night_between_two_verbs_is_cut_short() -> None:
    axis = Axis(made_of((0, 100), (86_500, 86_600)))
    (begin, width, length), *more = axis.pauses
    assert (length, more) == (86_400, [])
    assert begin == pytest.approx(100 * 100 / 208, abs=0.001)
    assert width == pytest.approx(100 * 8 / 208, abs=0.002)
    assert axis.at(86_600) == 100
    assert axis.ticks[-1] == (pytest.approx(begin + width), "24.0 h")
