"""Events of hand-written trainings, dated in seconds."""

from __future__ import annotations

from typing import Any

from recorded import HARDWARE, S
from shosei.log import Epoch, ProcExit, RunBegin, Section, Step

BEGIN = RunBegin(verb="train", argv=["train"], hardware=HARDWARE, phase="training")


def step(number: int, end: float, seconds: float = 1.0, **fields: Any) -> Step:
    given = {"epoch": 1, "samples": 8, "tokens": 100, "data_wait_ns": 0, "loss": 1.0, "finite": True} | fields
    return Step(step=number, duration_ns=round(seconds * S), mono_ns=round(end * S), phase="training", **given)


def section(name: str, begin: float, end: float, **fields: Any) -> Section:
    return Section(
        name=name, begin_ns=round(begin * S), end_ns=round(end * S), mono_ns=round(end * S), phase="training", **fields
    )


def epoch(begin: float, end: float, steps: int, fraction: float = 1.0, index: int = 1, **fields: Any) -> Epoch:
    return Epoch(
        index=index,
        begin_ns=round(begin * S),
        end_ns=round(end * S),
        steps=steps,
        samples=0,
        tokens=0,
        fraction=fraction,
        mono_ns=round(end * S),
        phase="training",
        **fields,
    )


def crash(at: float, **fields: Any) -> ProcExit:
    return ProcExit(
        child="train",
        child_pid=1,
        start=1,
        planned=False,
        cause="signal",
        duration_ns=1,
        signal=9,
        mono_ns=round(at * S),
        phase="training",
        **fields,
    )
