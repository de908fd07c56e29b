"""How busy the GPUs were; where there is none, how busy the processors were instead."""

from __future__ import annotations

import math

from shosei.log import Log, RunBegin, Sample, Step
from shosei.metrics import stats
from shosei.metrics.metric import Curve, Figure, Key, Plot, Row, Table, Text, text
from shosei.metrics.observed.series import Bins, RatioBatches, by_child, increments, weighted
from shosei.metrics.observed.steps import whole_steps
from shosei.metrics.value import Unmeasurable, Value
from shosei.quantity import NS_PER_S


def gpu_utilization(log: Log) -> Value:
    """Share of time with a kernel running (NVML), time-weighted over the assigned GPUs.

    Raises Unmeasurable without readings of a GPU; what the processors did stands in its breakdown.
    """
    tables, plots = _cpu_instead(log)
    efficiency, mfu = _model_flops(log)
    gpus = by_child(log.of(Sample), "gpu")
    # By the end of the stretch that it stands for, so that batches are stretches of time with all GPUs in them.
    kernel = sorted(
        (reading for gpu in gpus.values() for reading in weighted(gpu, "kernel_percent")), key=lambda r: r[1]
    )
    if not kernel:
        breakdown = [*tables, *efficiency]
        if any(begin.hardware.get("gpus") for begin in log.of(RunBegin)):
            raise Unmeasurable("not_measured", "performance.gpu_unread", breakdown=breakdown, plots=plots)
        raise Unmeasurable("na", "performance.no_gpu", breakdown=breakdown, plots=plots)
    seconds = [(end - begin) / NS_PER_S for begin, end, _ in kernel]
    batches = RatioBatches.of_equal_count(
        tops=[time * r[2] / 100 for time, r in zip(seconds, kernel, strict=True)], bottoms=seconds
    )
    rows: list[Row] = [
        [name, _mean_over_time(gpu, "kernel_percent"), _mean_over_time(gpu, "sm_percent")] for name, gpu in gpus.items()
    ]
    figures = {} if mfu is None else {"mfu": Figure(mfu, "", "higher", n=1)}
    columns = ["performance.gpu", "performance.kernel_percent", "performance.sm_percent"]
    return Value(
        value=math.fsum(batches.tops) / math.fsum(batches.bottoms),
        n=len(kernel),
        clusters=len(batches),
        unit_of_n="term.time_batches",
        ci=stats.ratio_interval(batches.tops, batches.bottoms),
        ci_method="term.t_time_batches",
        detail=text("performance.gpu_busy", gpus=len(gpus)),
        figures=figures,
        breakdown=[Table.of("performance.gpus", columns, rows), *efficiency, *tables],
        plots=plots,
    )


def _mean_over_time(gpu: list[Sample], gauge: str) -> float | None:
    readings = weighted(gpu, gauge)
    total = sum(end - begin for begin, end, _ in readings)
    return math.fsum((end - begin) * value for begin, end, value in readings) / total if total else None


def _cpu_instead(log: Log) -> tuple[list[Table], list[Plot]]:
    """Cores busy of each process tree: the mean, its share of the machine, and over time."""
    counted = {name: increments(tree, counter="cpu_ns") for name, tree in by_child(log.of(Sample)).items()}
    trees = {name: steps for name, steps in counted.items() if len(steps[0])}
    if not trees:
        return [], []
    cores = max(int(begin.hardware.get("cores", 1)) for begin in log.of(RunBegin))
    rows: list[Row] = []
    for name, (begins, ends, increases) in trees.items():
        busy = math.fsum(increases) / int(ends[-1] - begins[0])
        rows.append([name, busy, busy / cores])
    columns: list[Key | Text] = [
        "performance.tree",
        "performance.cores_busy",
        text("performance.share_of_cores", cores=cores),
    ]
    begin = min(int(begins[0]) for begins, _, _ in trees.values())
    bins = Bins.for_plot(begin, max(int(ends[-1]) for _, ends, _ in trees.values()))
    curves = [Curve(name, bins.rates((begins, ends, ns / NS_PER_S))) for name, (begins, ends, ns) in trees.items()]
    plot = Plot.of("performance.cpu", "term.seconds", "performance.cores_busy", bins.x, curves)
    return [Table.of("performance.cpu", columns, rows)], [plot]


def _model_flops(log: Log) -> tuple[list[Table], float | None]:
    """Model FLOP/s of training beside the measured peak of matrix products (MFU, Chowdhery et al. 2022)."""
    columns = ["term.quantity", "term.value"]
    steps = whole_steps(log.of(Step))
    if not steps:
        rows: dict[Key, Row] = {"performance.mfu": [text("performance.no_steps")]}
        return [Table.of("performance.efficiency", columns, rows)], None
    flops = [step.flops for step in steps if step.flops is not None]
    peaks = [begin.gemm_flops for begin in log.of(RunBegin) if begin.gemm_flops]
    ranks = len({step.rank for step in log.of(Step)})
    speed = sum(flops) / (sum(step.duration_ns for step in steps) / NS_PER_S) if len(flops) == len(steps) else None
    peak = max(peaks) * ranks if peaks else None
    mfu = speed / peak if speed is not None and peak else None
    rows = {
        "performance.model_flops": [text("performance.no_flops") if speed is None else speed / 1e9],
        "performance.gemm_peak": [text("performance.no_gemm_peak") if peak is None else peak / 1e9],
        "performance.mfu": [mfu],
    }
    return [Table.of("performance.efficiency", columns, rows)], mfu
