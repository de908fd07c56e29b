"""Simulated sides of a comparison: what two runs or their turns measured, and small logs of turns."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from shosei.compare.sides import Measured
from shosei.log import Log, Request, RunBegin, RunEnd, Score, Window
from shosei.metrics.accuracy.classified import observations_of
from shosei.metrics.metric import CELL_KEYS, CellKey, Metric
from shosei.metrics.stats.observations import Observation, Observations, share

MS, S = 10**6, 10**9
SPEEDS: list[CellKey] = [
    (id, phase)
    for id in ("training_speed", "inference_speed", "gpu_utilization", "memory", "disk_io", "network", "response_time")
    for phase in ("training", "inference")
]  # type: ignore[misc]
_DIRECTIONS = {
    "training_speed": "lower",
    "memory": "lower",
    "disk_io": "lower",
    "response_time": "lower",
    "error_rate": "lower",
    "crash_rate": "lower",
    "restart_count": "lower",
}
_UNITS = {
    "training_speed": "s",
    "inference_speed": "requests/s",
    "memory": "bytes",
    "disk_io": "MB/s",
    "response_time": "ms",
    "network": "Gbps",
}


def measured(
    values: dict[CellKey, float], units: dict[CellKey, Observations] | None = None, **changes: object
) -> Measured:
    """What an attempt measured: the cells of ``values``; no other was measured."""
    metrics = {}
    for id, phase in CELL_KEYS:
        status = "ok" if (id, phase) in values else "not_measured"
        more = {} if status == "ok" else {"reason": "nobody measured it"}
        metrics[id, phase] = Metric(
            id=id,
            phase=phase,
            unit=_UNITS.get(id, ""),
            direction=_DIRECTIONS.get(id, "higher"),  # type: ignore[arg-type]
            status=status,
            value=values.get((id, phase)),
            clusters=40,
            n=40,
            **more,  # type: ignore[arg-type]
        )
        if status == "ok" and changes:
            metrics[id, phase] = msgspec.structs.replace(metrics[id, phase], **changes)
    return Measured(metrics, units or {})


def outcomes(right: np.ndarray, clusters: np.ndarray, *, paired: bool) -> Observations:
    """One outcome a unit, 0 or 1."""
    units = [
        Observation(str(place), str(cluster), {"top": float(hit), "bottom": 1.0})
        for place, (hit, cluster) in enumerate(zip(right, clusters, strict=True))
    ]
    return Observations(units, share, paired=paired)


def classified(true: np.ndarray, said: np.ndarray, clusters: np.ndarray) -> Observations:
    """Tasks with classes; the statistic is the card's macro F1."""
    units = [
        Observation(str(place), str(cluster), {msgspec.json.encode(["suite", str(t), str(p)]).decode(): 1.0})
        for place, (t, p, cluster) in enumerate(zip(true, said, clusters, strict=True))
    ]
    return Observations(units, observations_of({}, "f1").statistic, paired=True)


def turn_log(
    attempt: int,
    target: str,
    speed: float,
    draw: np.random.Generator,
    *,
    requests: int = 40,
    right: float = 0.8,
    errors: float = 0.02,
    ended: int = 0,
) -> Log:
    """One turn of ``shosei alternate``: a load of ten requests a second and an exam of forty tasks, at a speed."""
    begin = RunBegin(verb="alternate", argv=["shosei", "alternate"], target=target, turn=attempt, attempt=attempt)
    load = RunBegin(verb="load", argv=["shosei", "load"], arrival="poisson", phase="inference", attempt=attempt)
    window = Window(name="steady", begin_ns=0, end_ns=requests * 100 * MS, phase="inference", attempt=attempt)
    failed, sums = draw.random(requests) < errors, draw.random(40) < right
    latencies = draw.lognormal(np.log(50 * speed), 0.5, requests)
    loaded = [
        Request(
            id=f"load-{number}",
            purpose="load",
            seen_by="client",
            scheduled_ns=number * 100 * MS,
            sent_ns=number * 100 * MS,
            done_ns=number * 100 * MS + int(latency * MS),
            status=500 if fails else 200,
            error="5xx" if fails else "",
            phase="inference",
            attempt=attempt,
        )
        for number, (latency, fails) in enumerate(zip(latencies, failed, strict=True))
    ]
    asked = [
        Request(
            id=f"exam-{number}",
            purpose="exam",
            seen_by="client",
            scheduled_ns=100 * S + int(number * 20 * MS * speed),
            sent_ns=100 * S + int(number * 20 * MS * speed),
            done_ns=100 * S + int((number + 1) * 20 * MS * speed),
            status=200,
            phase="inference",
            attempt=attempt,
        )
        for number in range(40)
    ]
    scores = [
        Score(
            suite="sums",
            item=str(number),
            cluster=str(number),
            grader="exact",
            truth="1",
            answer=str(int(hit)),
            phase="inference",
            attempt=attempt,
        )
        for number, hit in enumerate(sums)
    ]
    end = RunEnd(verb="alternate", exit_code=ended, attempt=attempt)
    events = {RunBegin: [begin, load], Window: [window], Request: loaded + asked, Score: scores, RunEnd: [end]}
    return Log(attempt, events)


def write_logs(folder: Path, logs: list[Log]) -> Path:
    """Write attempts into a run folder, as one process would."""
    lines = []
    for log in logs:
        for event in (event for events in log.events.values() for event in events):
            event.v, event.run, event.attempt, event.host, event.boot = 1, folder.name, log.attempt, "host", "boot"
            event.pid, event.start_ticks, event.seq = 10, 1, len(lines)
            event.wall_ns = 1_790_000_000 * S + event.mono_ns
            lines.append(msgspec.json.encode(event))
    (folder / "log").mkdir(parents=True)
    (folder / "log" / "host-boot-10-1.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return folder
