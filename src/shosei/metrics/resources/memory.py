"""Peak memory of the processes: what their control groups were charged, or what they had mapped, whichever is more."""

from __future__ import annotations

from shosei.log import Log, Sample
from shosei.metrics import stats
from shosei.metrics.metric import Curve, Figure, Plot, Row, Table, Text, text
from shosei.metrics.observed.series import Bins, by_child, per_second, process_trees
from shosei.metrics.value import Unmeasurable, Value
from shosei.quantity import NS_PER_S

_MB = 1e6
_GPU_GAUGES = ("used_bytes", "reserved_bytes", "allocated_bytes")


def memory(log: Log) -> Value:
    """Peak memory of the run in bytes: the larger of two, each of which leaves something out.

    The peak of the cgroups that it owns, which the kernel itself keeps, lacks the pages that somebody else read first:
    weights and libraries in a warm page cache. The highest sum over process trees of PSS, which counts shared pages
    once, lacks what came and went between two readings; RSS stands in for it where nobody read PSS. The mean is over
    the seconds in which anything was sampled.
    """
    trees = process_trees(log)
    pss, rss = per_second(trees, "pss_bytes"), per_second(trees, "rss_bytes")
    gauge, series = ("pss", pss) if pss else ("rss", rss)
    if not series:
        raise Unmeasurable("not_measured", "resources.no_memory_readings")
    high_water = per_second(trees, "peak_bytes")
    cgroup = per_second(by_child(log.of(Sample), "cgroup"), "peak_bytes")
    peaks = {"cgroup": _highest(cgroup), "pss": _highest(pss), "rss": _highest(rss)}
    method = max(("cgroup", gauge), key=lambda name: peaks[name] or 0)
    mean = stats.mean([float(value) for value in series.values()])
    rows: list[Row] = [[text(f"resources.peak_{name}"), peak] for name, peak in peaks.items()]
    rows.append([text("resources.mean_memory", gauge=gauge.upper()), mean])
    rows.append([text("resources.high_water"), _highest(high_water)])
    figures = {"mean": mean, "rss_peak": _highest(rss), "high_water": _highest(high_water)}
    return Value(
        value=float(peaks[method] or 0),
        n=len(series),
        clusters=1,
        unit_of_n="term.runs",
        ci_method="resources.one_peak",
        detail=f"resources.peak_{method}",
        figures={name: Figure(value, "bytes", "lower", n=1) for name, value in figures.items()},
        breakdown=[
            Table.of("resources.memory", ["term.quantity", "term.bytes"], rows),
            *_by_tree(trees, gauge),
            *_gpu_memory(log),
        ],
        plots=[_memory_over_time(trees, series, f"{gauge}_bytes")],
        notes=_pss_rate(trees),
    )


def _by_tree(trees: dict[str, list[Sample]], gauge: str) -> list[Table]:
    """Each tree's own peak, where there are several; they need not have been at the same time."""
    if len(trees) < 2:
        return []
    rows: list[Row] = [[name, _highest(per_second({name: tree}, f"{gauge}_bytes"))] for name, tree in trees.items()]
    return [Table.of("resources.by_tree", ["performance.tree", f"resources.peak_{gauge}"], rows)]


def _pss_rate(trees: dict[str, list[Sample]]) -> list[Text]:
    """How often PSS was read, over all trees, where that was twice or more."""
    readings = [[sample.mono_ns for sample in tree if sample.pss_bytes is not None] for tree in trees.values()]
    gaps = sum(len(moments) - 1 for moments in readings if moments)
    watched_ns = sum(moments[-1] - moments[0] for moments in readings if moments)
    return [text("resources.pss_every", seconds=watched_ns / gaps / NS_PER_S)] if gaps else []


def _highest(series: dict[int, int]) -> int | None:
    return max(series.values(), default=None)


def _gpu_memory(log: Log) -> list[Table]:
    rows: list[Row] = []
    for name, gpu in by_child(log.of(Sample), "gpu").items():
        for gauge in _GPU_GAUGES:
            readings = [reading for sample in gpu if (reading := getattr(sample, gauge)) is not None]
            rows.append([name, text(f"resources.gpu_{gauge}"), max(readings, default=None)])
    columns = ["resources.gpu", "term.quantity", "resources.peak_in_bytes"]
    return [Table.of("resources.gpu_memory", columns, rows)] if rows else []


def _memory_over_time(trees: dict[str, list[Sample]], total: dict[int, int], gauge: str) -> Plot:
    bins = Bins.for_plot(min(total) * NS_PER_S, (max(total) + 1) * NS_PER_S)
    readings = {name: per_second({name: tree}, gauge) for name, tree in trees.items()}
    curves = [Curve(name, _megabytes(bins, tree)) for name, tree in readings.items()] if len(trees) > 1 else []
    curves.append(Curve(text("term.total"), _megabytes(bins, total)))
    title = text("resources.memory_over_time", gauge=gauge.removesuffix("_bytes").upper())
    return Plot.of(title, "term.seconds", "term.mb", bins.x, curves)


def _megabytes(bins: Bins, readings: dict[int, int]) -> list[float | None]:
    return [None if reading is None else reading / _MB for reading in bins.highest(readings)]
