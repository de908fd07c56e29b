"""What became of each start of a supervised process, and how long it took until work went on after a crash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from shosei.log import Fault, Heartbeat, Log, ProcExit, ProcStart, Step
from shosei.log.process import ProcessKey
from shosei.metrics.observed.plausible import plausible
from shosei.metrics.observed.requests import injected
from shosei.quantity import NS_PER_S

# A supervisor writes down an end a moment after it, so one that a fault caused may be dated after the fault's end.
_NOTICED_NS = NS_PER_S
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a process. ``began`` is None where only its end was recorded, ``end`` where none was."""

    process: ProcessKey
    child: str
    number: int
    began: ProcStart | None
    end: ProcExit | None
    fault: str  # the injected fault that it ended in

    @property
    def key(self) -> str:
        """Names it within its log."""
        host, boot, pid, ticks = self.process
        return f"{self.child} {self.number} {host} {boot} {pid} {ticks}"

    @property
    def ended_unplanned(self) -> bool:
        """Whether it crashed, for whatever reason."""
        return self.end is not None and not self.end.planned

    @property
    def crashed(self) -> bool:
        """Whether it crashed without an injected fault."""
        return self.ended_unplanned and not self.fault


def starts(log: Log) -> list[Start]:
    """Every start that the log knows of, those of one process in turn."""
    began = {(event.process, event.child, event.start): event for event in log.of(ProcStart)}
    ended = {(event.process, event.child, event.start): event for event in log.of(ProcExit)}
    faults = injected(log)
    return [
        Start(*key, began.get(key), ended.get(key), _fault_of(ended[key], faults) if key in ended else "")
        for key in sorted(began.keys() | ended.keys())
    ]


def _fault_of(end: ProcExit, faults: Iterable[Fault]) -> str:
    for fault in faults:
        mended = fault.end_ns is not None and fault.end_ns + _NOTICED_NS < end.mono_ns
        if fault.boot == end.boot and fault.child in ("", end.child) and fault.begin_ns <= end.mono_ns and not mended:
            return fault.name
    return ""


@dataclass(frozen=True, slots=True)
class Repair:
    """A crash and what followed, in seconds. None where the log does not hold the moment."""

    crash: Start
    end: ProcExit
    restart_s: float | None  # failure detected to process started again
    useful_s: float | None  # started again to the first step's end, successful request, or heartbeat of its own

    @property
    def seconds(self) -> float | None:
        """Failure detected to work going on."""
        return None if self.restart_s is None or self.useful_s is None else self.restart_s + self.useful_s


def repairs(log: Log, known: list[Start]) -> list[Repair]:
    """One for each crash, injected ones included."""
    following = {(start.process, start.child, start.number): start.began for start in known}
    work, beats = _work(log), _beats(log)
    found = []
    for crash in known:
        end = crash.end
        if end is None or end.planned:
            continue
        again = following.get((crash.process, crash.child, crash.number + 1))
        restart_s = useful_s = None
        if again is not None:
            restart_s = (again.mono_ns - end.mono_ns) / NS_PER_S
            signs = [*work[again.boot], *beats[crash.process, crash.child]]
            first = min((moments[moments > again.mono_ns].min(initial=_NEVER) for moments in signs), default=_NEVER)
            useful_s = None if first == _NEVER else int(first - again.mono_ns) / NS_PER_S
        found.append(Repair(crash, end, restart_s, useful_s))
    return found


def _work(log: Log) -> defaultdict[str, list[np.ndarray]]:
    """When steps ended and requests were answered, by boot."""
    moments: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    for step in log.of(Step):
        moments[step.boot].append(np.array([step.mono_ns]))
    requests = plausible(log)
    answered = requests.at(requests.has("done_ns") & ~requests.has("error"))
    for boot in answered.texts("boot"):
        moments[boot].append(answered["done_ns"][answered.where("boot", boot)])
    return defaultdict(list, {boot: [np.concatenate(parts)] for boot, parts in moments.items()})


def _beats(log: Log) -> defaultdict[tuple[ProcessKey, str], list[np.ndarray]]:
    """When each process's heartbeats came."""
    moments: defaultdict[tuple[ProcessKey, str], list[int]] = defaultdict(list)
    for beat in log.of(Heartbeat):
        moments[beat.process, beat.child].append(beat.mono_ns)
    return defaultdict(list, {child: [np.array(beats)] for child, beats in moments.items()})


def run_again(steps: Sequence[Step]) -> tuple[int, float]:
    """How many steps were run again, those no higher than one before them, and for how many seconds.

    The lowest rank stands for all. Steps that were not timed are taken to be as long as those right after them.
    """
    rank = min((step.rank for step in steps), default=0)
    highest, count, lasted_ns = -1, 0, 0.0  # some count from 0
    for step in (step for step in steps if step.rank == rank):
        again = max(0, min(step.step, highest) - (step.step - step.count - step.untimed))
        count += again
        lasted_ns += step.duration_ns * again / step.count
        highest = max(highest, step.step)
    return count, lasted_ns / NS_PER_S
