"""Resources: memory, disk I/O, network."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shosei.log import Comm, Log, Request, Sample, Window
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS, Bins
from shosei.metrics.cell import Cell, Unmeasurable, Value
from shosei.metrics.metric import Curve, Figure, Plot, Row, Table
from shosei.metrics.network import between_nodes, client_to_server
from shosei.metrics.series import Batches, by_child, fact_of_this_machine, increments, per_second
from shosei.metrics.text import text

MB = 1e6
_GPU_GAUGES = ("used_bytes", "reserved_bytes", "allocated_bytes")

Increments = Sequence[tuple[int, int, float]]


def _trees(log: Log) -> dict[str, list[Sample]]:
    trees = by_child(log.of(Sample))
    if not trees:
        raise Unmeasurable("not_measured", text("resources.unsupervised"))
    return trees


def memory(log: Log) -> Value:
    """Peak memory of the run in bytes, by the best method that was sampled.

    The peak of the cgroups that it owns, which the kernel itself keeps; else the highest sum over process trees of
    PSS, which counts shared pages once; else of RSS. The mean is over the seconds in which anything was sampled.
    """
    trees = _trees(log)
    pss, rss = per_second(trees, "pss_bytes"), per_second(trees, "rss_bytes")
    gauge, series = ("pss", pss) if pss else ("rss", rss)
    if not series:
        raise Unmeasurable("not_measured", text("resources.no_memory_readings"))
    high_water = per_second(trees, "peak_bytes")
    cgroup = per_second(by_child(log.of(Sample), "cgroup"), "peak_bytes")
    peaks = {"cgroup": _highest(cgroup), "pss": _highest(pss), "rss": _highest(rss)}
    method = next(name for name, peak in peaks.items() if peak is not None)
    mean = stats.mean([float(value) for value in series.values()])
    rows: list[Row] = [[text(f"resources.peak_{name}"), peak] for name, peak in peaks.items()]
    rows.append([text("resources.mean_memory", gauge=gauge.upper()), mean])
    rows.append([text("resources.high_water"), _highest(high_water)])
    figures = {"mean": mean, "rss_peak": _highest(rss), "high_water": _highest(high_water)}
    return Value(
        value=float(peaks[method] or 0), n=len(series), clusters=1, unit_of_n=text("term.runs"),
        ci_method=text("resources.one_peak"), detail=text(f"resources.peak_{method}"),
        figures={name: Figure(value, "bytes", "lower", n=1) for name, value in figures.items()},
        breakdown=[
            Table(text("resources.memory"), [text("term.quantity"), text("term.bytes")], rows), *_gpu_memory(log)
        ],
        plots=[_memory_over_time(trees, series, f"{gauge}_bytes")],
    )  # fmt: skip


def _highest(series: dict[int, int]) -> int | None:
    return max(series.values(), default=None)


def _gpu_memory(log: Log) -> list[Table]:
    rows: list[Row] = []
    for name, gpu in by_child(log.of(Sample), "gpu").items():
        for gauge in _GPU_GAUGES:
            readings = [reading for sample in gpu if (reading := getattr(sample, gauge)) is not None]
            rows.append([name, text(f"resources.gpu_{gauge}"), max(readings, default=None)])
    columns = [text("resources.gpu"), text("term.quantity"), text("resources.peak_in_bytes")]
    return [Table(text("resources.gpu_memory"), columns, rows)] if rows else []


def _memory_over_time(trees: dict[str, list[Sample]], total: dict[int, int], gauge: str) -> Plot:
    bins = Bins.for_plot(min(total) * SECOND_NS, (max(total) + 1) * SECOND_NS)
    readings = {name: per_second({name: tree}, gauge) for name, tree in trees.items()}
    curves = [Curve(name, _megabytes(bins, tree)) for name, tree in readings.items()] if len(trees) > 1 else []
    curves.append(Curve(text("term.total"), _megabytes(bins, total)))
    title = text("resources.memory_over_time", gauge=gauge.removesuffix("_bytes").upper())
    return Plot(title, text("term.seconds"), "MB", bins.x, curves)


def _megabytes(bins: Bins, readings: dict[int, int]) -> list[float | None]:
    return [None if reading is None else reading / MB for reading in bins.highest(readings)]


def disk_io(log: Log) -> Value:
    """MB/s read and written at the storage layer, all trees together, mean over the sampled time."""
    trees = _trees(log).values()
    counted = {
        counter: [step for tree in trees for step in increments(tree, counter)]
        for counter in ("read_bytes", "write_bytes", "cancelled_write_bytes", "read_chars", "write_chars")
    }
    known = [step for steps in counted.values() for step in steps]
    begin, end = min((step[0] for step in known), default=0), max((step[1] for step in known), default=0)
    if end <= begin:
        raise Unmeasurable("not_measured", text("resources.no_io_counters"))
    seconds = (end - begin) / SECOND_NS
    totals = {counter: math.fsum(step[2] for step in steps) for counter, steps in counted.items()}
    read = counted["read_bytes"]
    # A write that was cancelled, for its file was deleted before it reached the disk, was counted as written before.
    written = counted["write_bytes"] + [
        (since, until, -size) for since, until, size in counted["cancelled_write_bytes"]
    ]
    stored = totals["read_bytes"] + totals["write_bytes"] - totals["cancelled_write_bytes"]
    bins = Bins.seconds(begin, end)
    rates = [total / MB for total in bins.totals([*read, *written])] or [stored / MB / seconds]
    batches = Batches.of_equal_count([1.0] * len(rates), rates)
    p95 = stats.percentile(rates, 95)
    rows: list[Row] = [[text(f"resources.{counter}"), total, total / MB / seconds] for counter, total in totals.items()]
    rows.append([text("resources.p95_of_seconds"), None, p95])
    figures = {
        "read": totals["read_bytes"] / MB / seconds,
        "write": (totals["write_bytes"] - totals["cancelled_write_bytes"]) / MB / seconds,
        "p95": p95,
    }
    warm = totals["read_bytes"] == 0 and totals["read_chars"] > 0
    return Value(
        value=stored / MB / seconds, n=len(rates), clusters=len(batches), unit_of_n=text("term.time_batches"),
        ci=stats.ratio_interval(batches.tops, batches.bottoms), ci_method=text("term.t_time_batches"),
        detail=text("resources.at_storage"), notes=[text("resources.warm_cache")] if warm else [],
        figures={name: Figure(value, "MB/s", "lower", n=len(batches)) for name, value in figures.items()},
        breakdown=[Table(text("resources.disk"), [text("term.quantity"), text("term.bytes"), "MB/s"], rows)],
        plots=[_disk_over_time(begin, end, read, written)],
    )  # fmt: skip


def _disk_over_time(begin: int, end: int, read: Increments, written: Increments) -> Plot:
    bins = Bins.for_plot(begin, end)
    curves = [
        Curve(text(f"resources.{name}"), bins.rates([(since, until, size / MB) for since, until, size in steps]))
        for name, steps in (("read", read), ("written", written))
    ]
    return Plot(text("resources.disk_over_time"), text("term.seconds"), "MB/s", bins.x, curves)


_SUPERVISE = "shosei supervise --run RUN -- shosei train --run RUN"
_SERVE = "shosei serve RUN --run RUN"

CELLS = [
    Cell("memory", "training", "bytes", "lower", (Sample,), memory, command=_SUPERVISE),
    Cell("memory", "inference", "bytes", "lower", (Sample,), memory, command=_SERVE),
    Cell("disk_io", "training", "MB/s", "lower", (Sample,), disk_io, command=_SUPERVISE),
    Cell("disk_io", "inference", "MB/s", "lower", (Sample,), disk_io, command=_SERVE),
    Cell("network", "training", "Gbps", "higher", (),
         fact_of_this_machine("training", between_nodes), may_read=(Sample, Comm)),
    Cell("network", "inference", "Gbps", "higher", (), client_to_server, may_read=(Request, Window)),
]  # fmt: skip
