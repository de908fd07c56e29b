"""What was read from storage and written to it."""

from __future__ import annotations

import math

from shosei.log import Log
from shosei.metrics import stats
from shosei.metrics.metric import Curve, Figure, Key, Plot, Row, Table, text
from shosei.metrics.observed.series import Bins, Increments, RatioBatches, increments, joined, process_trees
from shosei.metrics.value import Unmeasurable, Value
from shosei.quantity import NS_PER_S

_MB = 1e6


def disk_io(log: Log) -> Value:
    """MB/s read and written at the storage layer, all trees together, mean over the sampled time."""
    trees = process_trees(log).values()
    counted = {
        counter: increments(*trees, counter=counter)
        for counter in ("read_bytes", "write_bytes", "cancelled_write_bytes", "read_chars", "write_chars")
    }
    begins, ends, _ = joined(counted.values())
    if not len(begins):
        raise Unmeasurable("not_measured", "resources.no_io_counters")
    begin, end = int(begins.min()), int(ends.max())
    seconds = (end - begin) / NS_PER_S
    totals = {counter: math.fsum(increases) for counter, (_, _, increases) in counted.items()}
    # A write that was cancelled, for its file was deleted before it reached the disk, was counted as written before.
    since, until, cancelled = counted["cancelled_write_bytes"]
    read, written = counted["read_bytes"], joined([counted["write_bytes"], (since, until, -cancelled)])
    stored = totals["read_bytes"] + totals["write_bytes"] - totals["cancelled_write_bytes"]
    bins = Bins.seconds(begin, end)
    rates = [total / _MB for total in bins.totals(joined([read, written]))] or [stored / _MB / seconds]
    batches = RatioBatches.of_equal_count(tops=rates, bottoms=[1.0] * len(rates))
    p95 = stats.percentile(rates, 95)
    rows: dict[Key, Row] = {f"resources.{counter}": [total, total / _MB / seconds] for counter, total in totals.items()}
    rows["resources.p95_of_seconds"] = [None, p95]
    figures = {
        "read": totals["read_bytes"] / _MB / seconds,
        "write": (totals["write_bytes"] - totals["cancelled_write_bytes"]) / _MB / seconds,
        "p95": p95,
    }
    warm = totals["read_bytes"] == 0 and totals["read_chars"] > 0
    return Value(
        value=stored / _MB / seconds,
        n=len(rates),
        clusters=len(batches),
        unit_of_n="term.time_batches",
        ci=stats.ratio_interval(batches.tops, batches.bottoms),
        ci_method="term.t_time_batches",
        detail="resources.at_storage",
        notes=["resources.warm_cache"] if warm else [],
        figures={name: Figure(value, "MB/s", "lower", n=len(batches)) for name, value in figures.items()},
        breakdown=[Table.of("resources.disk", ["term.quantity", "term.bytes", "term.mb_per_s"], rows)],
        plots=[_disk_over_time(begin, end, read, written)],
    )


def _disk_over_time(begin: int, end: int, read: Increments, written: Increments) -> Plot:
    bins = Bins.for_plot(begin, end)
    curves = [
        Curve(text(f"resources.{name}"), bins.rates((since, until, size / _MB)))
        for name, (since, until, size) in (("read", read), ("written", written))
    ]
    return Plot.of("resources.disk_over_time", "term.seconds", "term.mb_per_s", bins.x, curves)
