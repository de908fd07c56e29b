"""Resources: memory, disk I/O, network."""

from __future__ import annotations

import math

from shosei.log import Log, Request, RunBegin, Sample
from shosei.metrics import stats
from shosei.metrics.cell import Cell, Unmeasurable, Value
from shosei.metrics.metric import Curve, Plot, Row, Table
from shosei.metrics.series import SECOND_NS, Batches, by_child, fact_of_this_machine, increments, per_second

MB = 1e6


def _trees(log: Log) -> dict[str, list[Sample]]:
    trees = by_child(log.of(Sample))
    if not trees:
        raise Unmeasurable("not_measured", "no process of this phase ran under a supervisor")
    return trees


def memory(log: Log) -> Value:
    """Peak memory of all supervised process trees together, in bytes; PSS where the kernel gives it, else RSS."""
    trees = _trees(log)
    pss, rss = per_second(trees, "pss_bytes"), per_second(trees, "rss_bytes")
    method, series = ("PSS", pss) if pss else ("RSS", rss)
    if not series:
        raise Unmeasurable("not_measured", "the samples hold no memory readings (no /proc on this system)")
    highs = per_second(trees, "peak_bytes")
    rows: list[Row] = [
        [f"peak {method}, sampled", max(series.values())],
        [f"mean {method} over seconds", stats.mean([float(value) for value in series.values()])],
        ["peak RSS, sampled", max(rss.values()) if rss else None],
        ["sum of the processes' high-water marks", max(highs.values()) if highs else None],
    ]
    start = next(iter(series))
    x = [float(second - start) for second in series]
    return Value(
        value=float(max(series.values())), n=len(series), clusters=1, unit_of_n="runs",
        ci_method="none: one run has one peak", detail=f"peak {method} of the process trees",
        breakdown=[Table("memory", ["quantity", "bytes"], rows)],
        plots=[Plot(f"{method}", "seconds", "MB", x, [Curve(method, [value / MB for value in series.values()])])],
    )  # fmt: skip


def disk_io(log: Log) -> Value:
    """MB/s read and written at the storage layer, all trees together, mean over the sampled time."""
    seconds: dict[int, list[float]] = {}
    totals = {
        "read_bytes": 0.0,
        "write_bytes": 0.0,
        "cancelled_write_bytes": 0.0,
        "read_chars": 0.0,
        "write_chars": 0.0,
    }
    begin, end = math.inf, -math.inf
    for tree in _trees(log).values():
        for counter in totals:
            for since, until, increase in increments(tree, counter):
                totals[counter] += increase
                begin, end = min(begin, since), max(end, until)
                if counter in ("read_bytes", "write_bytes", "cancelled_write_bytes"):
                    sign = -1 if counter == "cancelled_write_bytes" else 1
                    seconds.setdefault(until // SECOND_NS, []).append(sign * increase)
    if end <= begin:
        raise Unmeasurable("not_measured", "fewer than two samples of any process tree hold I/O counters")
    duration = (end - begin) / 1e9
    stored = totals["read_bytes"] + totals["write_bytes"] - totals["cancelled_write_bytes"]
    # An increase counts in the second of its later reading: the first second has none.
    whole = range(int(begin // SECOND_NS) + 1, int(end // SECOND_NS) + 1)
    rates = [math.fsum(seconds.get(second, [])) / MB for second in whole] or [stored / MB / duration]
    batches = Batches.of_equal_count([1.0] * len(rates), rates)
    notes = []
    if totals["read_bytes"] == 0 and totals["read_chars"] > 0:
        notes.append("nothing was read from storage: the page cache was warm")
    rows: list[Row] = [
        ["read from storage", totals["read_bytes"], totals["read_bytes"] / MB / duration],
        ["written to storage", totals["write_bytes"], totals["write_bytes"] / MB / duration],
        ["cancelled writes", totals["cancelled_write_bytes"], totals["cancelled_write_bytes"] / MB / duration],
        ["read through system calls", totals["read_chars"], totals["read_chars"] / MB / duration],
        ["written through system calls", totals["write_chars"], totals["write_chars"] / MB / duration],
        ["p95 of 1-second bins, storage", None, stats.percentile(rates, 95)],
    ]
    return Value(
        value=stored / MB / duration, n=len(rates), clusters=len(batches), unit_of_n="time batches",
        ci=stats.ratio_interval(batches.tops, batches.bottoms), ci_method="Student t over time batches",
        detail="read and written at the storage layer", notes=notes,
        breakdown=[Table("disk", ["quantity", "bytes", "MB/s"], rows)],
    )  # fmt: skip


def network(log: Log) -> Unmeasurable:
    """Between nodes. One node has no network between nodes, and loopback is never called network."""
    if max(int(begin.hardware.get("nodes", 1)) for begin in log.of(RunBegin)) > 1:
        return Unmeasurable("not_measured", "several nodes, but no interface counters were sampled")
    load = [r for r in log.of(Request) if r.seen_by == "client" and r.bytes_sent is not None]
    rows: list[Row] = [
        ["requests, bodies", sum(r.bytes_sent or 0 for r in load)],
        ["answers, bodies", sum(r.bytes_received or 0 for r in load)],
    ]
    table = [Table("client to server, one machine", ["quantity", "bytes"], rows)] if load else []
    return Unmeasurable("na", "one node: nothing is sent between nodes", breakdown=table)


_SUPERVISE = "shosei supervise --run RUN -- shosei train --run RUN"
_SERVE = "shosei serve RUN --run RUN"

CELLS = [
    Cell("memory", "training", "bytes", "lower", (Sample,), memory, command=_SUPERVISE),
    Cell("memory", "inference", "bytes", "lower", (Sample,), memory, command=_SERVE),
    Cell("disk_io", "training", "MB/s", "lower", (Sample,), disk_io, command=_SUPERVISE),
    Cell("disk_io", "inference", "MB/s", "lower", (Sample,), disk_io, command=_SERVE),
    Cell("network", "training", "Gbps", "higher", (), fact_of_this_machine("training", network), may_read=(Request,)),
    Cell("network", "inference", "Gbps", "higher", (), fact_of_this_machine("inference", network), may_read=(Request,)),
]
