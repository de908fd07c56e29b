"""Hand-written logs in memory: events of one attempt on one machine, dated in seconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from shosei.card.words import rendered
from shosei.log import Event, Log, ProcExit, ProcStart, Request, RunBegin
from shosei.metrics.cell import Cell
from shosei.metrics.cells import cells
from shosei.metrics.metric import Metric, Phase, Row
from shosei.metrics.service_level import ServiceLevel

S = 1_000_000_000
MS = 1_000_000


def at(seconds: float, event: Event) -> Event:
    """``event``, written at ``seconds``."""
    event.mono_ns = round(seconds * S)
    event.wall_ns = 1_790_000_000 * S + event.mono_ns
    return event


def log_of(*events: Event) -> Log:
    """A log of these events in order of time, after a ``run.begin``."""
    log = Log(1, {RunBegin: [RunBegin(verb="test", argv=[], hardware={"nodes": 1}, arrival="poisson")]})
    for event in sorted(events, key=lambda event: event.mono_ns):
        event.host, event.boot, event.pid = event.host or "host", event.boot or "boot", event.pid or 1
        log.events.setdefault(type(event), []).append(event)
    return log


def cell(id: str, phase: Phase) -> Cell:
    return next(cell for cell in cells(ServiceLevel()) if (cell.id, cell.phase) == (id, phase))


def metric(log: Log, id: str, phase: Phase) -> Metric:
    """One cell's metric, said in English; its observations, if it has any, must give the same value."""
    found, observations = cell(id, phase).measure(log)
    if observations:
        assert from_observations(log, id, phase) == np.float64(found.value).round(9)
    return rendered(found)


def from_observations(log: Log, id: str, phase: Phase) -> float:
    """The statistic of the sums over the cell's observations."""
    observations = cell(id, phase).measure(log)[1]
    assert observations
    each = observations.each
    assert len({it.key for it in each}) == len(each), "observations need keys of their own"
    names = sorted({name for it in each for name in it.adds})
    sums = np.array([sum(it.adds.get(name, 0.0) for it in each) for name in names])
    return float(np.round(observations.statistic(names, sums), 9))


def table(metric: Metric, title: str) -> dict[Any, Row]:
    """The rows of a table by their first cell."""
    rows = next(table.rows for table in metric.breakdown if table.title == title)
    return {row[0]: row[1:] for row in rows}


def start(seconds: float, number: int, child: str = "train", phase: str = "training") -> Event:
    return at(seconds, ProcStart(child=child, child_pid=100 + number, argv=[child], start=number, phase=phase))


def end(
    seconds: float, number: int, ran_s: float, cause: str = "stopped", child: str = "train", phase: str = "training"
) -> Event:
    """A process's end, planned if its cause is that it was stopped."""
    exit = ProcExit(
        child=child,
        child_pid=100 + number,
        start=number,
        planned=cause == "stopped",
        cause=cause,
        duration_ns=round(ran_s * S),
        signal=9,
        phase=phase,
    )
    return at(seconds, exit)


def request(seconds: float, took_ms: float, **fields: Any) -> Event:
    """A streamed answer of 11 tokens, the first of them after a quarter of the time."""
    scheduled = round(seconds * S)
    streamed = fields.get("stream", True) and not fields.get("error")
    defaults = {
        "id": f"r{seconds}",
        "purpose": "load",
        "seen_by": "client",
        "stream": True,
        "tokens_out": 11,
        "first_token_ns": scheduled + round(took_ms / 4 * MS) if streamed else None,
        "longest_gap_ns": round(took_ms / 8 * MS) if streamed else None,
    }
    done = scheduled + round(took_ms * MS)
    made = Request(scheduled_ns=scheduled, sent_ns=scheduled, done_ns=done, phase="inference", **defaults | fields)
    return at(seconds + took_ms / 1e3, made)
