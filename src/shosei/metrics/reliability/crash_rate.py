"""Unplanned ends of processes, what they cost, and how soon work went on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shosei.log import Log, Step
from shosei.metrics import stats
from shosei.metrics.metric import Figure, Key, Row, Table, Text, Words, text
from shosei.metrics.observed.starts import Repair, Start, repairs, run_again, starts
from shosei.metrics.stats.observations import Observation, Observations, share
from shosei.metrics.value import Value

_CAUSES = {"done", "stopped", "bad input", "out of memory", "signal", "exception", "hang", "start-up"}


def crash_rate(log: Log) -> Value:
    """Unplanned ends per process start, as the supervisor saw them; crashes in an injected fault stay apart."""
    every_start = starts(log)
    crashes = sum(start.crashed for start in every_start)
    hours = sum(start.end.duration_ns for start in every_start if start.end) / 3.6e12
    mended = repairs(log, every_start)
    figures = _over_time(crashes, hours, len(every_start)) | _repair_figures(mended, log.of(Step))
    each = [Observation(start.key, start.key, {"top": float(start.crashed), "bottom": 1.0}) for start in every_start]
    return Value(
        value=crashes / len(every_start),
        observations=Observations(each, share, paired=False),
        n=len(every_start),
        clusters=len(every_start),
        unit_of_n="reliability.process_starts",
        ci=stats.wilson(crashes, len(every_start)),
        ci_method="reliability.wilson",
        detail="reliability.crashes_per_start",
        figures=figures,
        notes=_crash_notes(every_start, mended),
        breakdown=[
            _ends(every_start),
            _time_table(crashes, hours, figures),
            *_repair_tables(mended),
            *_lost_work_table(log.of(Step)),
        ],
    )


def _over_time(crashes: int, hours: float, count: int) -> dict[str, Figure]:
    """Crashes a time and time between failures; without a crash the interval still bounds both."""
    if not hours:
        return {
            "per_1000h": Figure(None, "/1000 h", "lower", n=count),
            "mtbf_h": Figure(None, "h", "higher", n=count),
        }
    low, high = (bound or 0.0 for bound in stats.poisson(crashes))
    rate = (1000 * low / hours, 1000 * high / hours)
    between = (hours / high, hours / low if low else None)
    return {
        "per_1000h": Figure(1000 * crashes / hours, "/1000 h", "lower", rate, count),
        "mtbf_h": Figure(hours / crashes if crashes else None, "h", "higher", between, count),
    }


def _time_table(crashes: int, hours: float, figures: dict[str, Figure]) -> Table:
    low, high = figures["per_1000h"].ci or (None, None)
    rows: dict[Key, Row] = {
        "reliability.process_hours": [hours],
        "reliability.crashes": [crashes],
        "reliability.per_1000h": [figures["per_1000h"].value],
        "reliability.per_1000h_low": [low],
        "reliability.per_1000h_high": [high],
        "reliability.mtbf_h": [figures["mtbf_h"].value],
    }
    return Table.of("reliability.over_time", ["term.quantity", "term.value"], rows)


def _repair_figures(mended: Sequence[Repair], steps: Sequence[Step]) -> dict[str, Figure]:
    seconds = [repair.seconds for repair in mended if repair.seconds is not None]
    mean = stats.mean(seconds) if seconds else None
    figures = {"mttr_s": Figure(mean, "s", "lower", stats.student_t(seconds), len(seconds))}
    if steps:
        figures["lost_steps"] = Figure(float(run_again(steps)[0]), "steps", "lower", n=len(mended))
    return figures


def _ends(every_start: Sequence[Start]) -> Table:
    """How the starts of each process ended."""
    counts = Counter((start.child, start.end.cause if start.end else "", start.fault) for start in every_start)
    rows: list[Row] = [
        [child, _cause(cause) if cause else text("reliability.no_end"), _injected(fault), count]
        for (child, cause, fault), count in sorted(counts.items())
    ]
    columns = [
        "reliability.process",
        "reliability.cause",
        "reliability.injected_fault",
        "term.n",
    ]
    return Table.of("reliability.ends", columns, rows)


def _cause(cause: str) -> Text:
    name = cause if cause in _CAUSES else "unknown"
    return text("reliability.ended." + name.replace(" ", "_").replace("-", "_"))


def _injected(fault: str) -> Words:
    return fault or text("reliability.not_injected")


def _repair_tables(mended: Sequence[Repair]) -> list[Table]:
    """Each crash with the stages of its repair, and their means."""
    if not mended:
        return []
    stages = {
        "to_restart": [repair.restart_s for repair in mended],
        "to_useful": [repair.useful_s for repair in mended],
        "whole_repair": [repair.seconds for repair in mended],
    }
    means: dict[Key, Row] = {}
    for name, times in stages.items():
        measured = [time for time in times if time is not None]
        means[f"reliability.{name}"] = [stats.mean(measured) if measured else None, len(measured)]
    each: list[Row] = [
        [
            repair.crash.child,
            repair.crash.number,
            _cause(repair.end.cause),
            _injected(repair.crash.fault),
            repair.restart_s,
            repair.useful_s,
            repair.seconds,
        ]
        for repair in mended
    ]
    return [
        Table.of("reliability.repair", ["reliability.stage", "reliability.mean_s", "term.n"], means),
        Table.of(
            "reliability.each_crash",
            [
                "reliability.process",
                "reliability.start",
                "reliability.cause",
                "reliability.injected_fault",
                *(f"reliability.{name}" for name in stages),
            ],
            each,
        ),
    ]


def _lost_work_table(steps: Sequence[Step]) -> list[Table]:
    if not steps:
        return []
    columns = ["term.quantity", "reliability.steps", "term.seconds"]
    return [Table.of("reliability.lost_work", columns, {"reliability.run_again": [*run_again(steps)]})]


def _crash_notes(every_start: Sequence[Start], mended: Sequence[Repair]) -> list[Text]:
    notes = []
    if faults := [start.fault for start in every_start if start.ended_unplanned and start.fault]:
        notes.append(text("reliability.injected_crashes", count=len(faults), faults=sorted(set(faults))))
    if missing := sum(start.end is None for start in every_start):
        notes.append(text("reliability.ends_missing", count=missing))
    if unmended := sum(repair.seconds is None for repair in mended):
        notes.append(text("reliability.unmended", count=unmended))
    return notes
