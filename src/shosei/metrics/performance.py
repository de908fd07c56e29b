"""Performance: training speed, inference speed, GPU utilisation."""

from __future__ import annotations

import math

from shosei.log import Epoch, Log, Request, RunBegin, Sample, Section, Step, Window
from shosei.metrics import stats
from shosei.metrics.cell import Cell, Unmeasurable, Value
from shosei.metrics.metric import Curve, Plot, Row, Table
from shosei.metrics.series import Batches, by_time, counter_rate, fact_of_this_machine, steady_window
from shosei.metrics.service_level import ServiceLevel

SECOND = 1e9


def epoch_time(log: Log) -> Value:
    """Mean epoch time in seconds: first batch request to the end of the last step, evaluation apart."""
    steps, sections = log.of(Step), log.of(Section)
    epochs = list({epoch.index: epoch for epoch in log.of(Epoch)}.values())  # a restart may repeat one: the last counts
    evaluation = {epoch.index: 0 for epoch in epochs}
    for section in sections:
        if section.name == "evaluation" and section.epoch in evaluation:
            for epoch in epochs:
                if epoch.index == section.epoch and epoch.begin_ns <= section.begin_ns < epoch.end_ns:
                    evaluation[epoch.index] += section.end_ns - section.begin_ns
    seconds = [(epoch.end_ns - epoch.begin_ns - evaluation[epoch.index]) / SECOND for epoch in epochs]
    whole = [time for time, epoch in zip(seconds, epochs, strict=True) if epoch.fraction >= 1]
    used = whole or [time / epoch.fraction for time, epoch in zip(seconds, epochs, strict=True)]
    rows: list[Row] = [
        [epoch.index, time, epoch.steps, epoch.samples, epoch.tokens, epoch.tokens / time, epoch.fraction]
        for epoch, time in zip(epochs, seconds, strict=True)
    ]
    return Value(
        value=stats.mean(used), n=len(used), clusters=len(used), unit_of_n="epochs", ci=stats.student_t(used),
        ci_method="Student t over epochs", detail="time per epoch" if whole else "time per epoch, estimated",
        breakdown=[
            Table("epochs", ["epoch", "seconds", "steps", "samples", "tokens", "tokens/s", "fraction"], rows),
            _wall_time(steps, sections),
        ],
        plots=[_loss_curve(steps)],
        notes=[] if whole else ["no epoch was finished: the time is extrapolated from the fraction seen"],
    )  # fmt: skip


def _wall_time(steps: list[Step], sections: list[Section]) -> Table:
    """Where the training process's time went, first stretch of work to last; the parts sum to the whole."""
    spans = [(section.begin_ns, section.end_ns) for section in sections]
    spans += [(step.mono_ns - step.duration_ns, step.mono_ns) for step in steps]
    wall = max(end for _, end in spans) - min(begin for begin, _ in spans)
    waited = sum(step.data_wait_ns for step in steps)
    communicated = sum(step.comm_wait_ns for step in steps)
    parts = {
        "compute": sum(step.duration_ns for step in steps) - waited - communicated,
        "data wait": waited,
        "communication": communicated,
    }
    for section in sections:
        parts[section.name] = parts.get(section.name, 0) + section.end_ns - section.begin_ns
    parts["other"] = wall - sum(parts.values())
    rows: list[Row] = [[name, time / SECOND, time / wall] for name, time in parts.items()]
    return Table("wall time", ["part", "seconds", "share"], [*rows, ["total", wall / SECOND, 1.0]])


def _loss_curve(steps: list[Step]) -> Plot:
    """Mean loss of at most 200 stretches of steps."""
    size = math.ceil(len(steps) / 200)
    chunks = [steps[start : start + size] for start in range(0, len(steps), size)]
    losses = [[step.loss for step in chunk if step.loss is not None] for chunk in chunks]
    means = [round(stats.mean(values), 5) if values else None for values in losses]
    return Plot("training loss", "step", "loss", [float(chunk[-1].step) for chunk in chunks], [Curve("loss", means)])


def workload_time(log: Log) -> Value:
    """Seconds of one pass over the frozen workload: the exam's requests, first sent to last answered."""
    requests = [request for request in log.of(Request) if request.purpose == "exam" and request.seen_by == "client"]
    times = [(request.sent_ns, request.done_ns) for request in requests if request.sent_ns and request.done_ns]
    if not times:
        raise Unmeasurable("not_measured", "no exam was taken in this attempt, so no frozen workload was passed")
    failed = sum(bool(request.error) for request in requests)
    seconds = (max(done for _, done in times) - min(sent for sent, _ in times)) / SECOND
    return Value(
        value=seconds, n=len(requests), clusters=1, unit_of_n="passes", detail="one pass over the exam's suites",
        ci_method="none: one pass has no spread",
        invalid=f"{failed} of {len(requests)} requests failed: not the whole workload" if failed else "",
        breakdown=[Table("pass", ["requests", "seconds", "requests/s"], [[len(times), seconds, len(times) / seconds]])],
    )  # fmt: skip


def training_rate(log: Log) -> Value:
    """Samples per second of optimiser steps, data wait included."""
    steps = log.of(Step)
    seconds = [step.duration_ns / SECOND for step in steps]
    total = math.fsum(seconds)
    batches = Batches.of_equal_count(seconds, [float(step.samples) for step in steps])
    tokens = sum(step.tokens for step in steps)
    samples = sum(step.samples for step in steps)
    return Value(
        value=samples / total, n=len(steps), clusters=len(batches), unit_of_n="time batches", detail="samples/s",
        ci=stats.ratio_interval(batches.tops, batches.bottoms), ci_method="Student t over time batches",
        breakdown=[Table("training rate", ["quantity", "per second"], [
            ["samples", samples / total],
            ["tokens", tokens / total],
        ])],
    )  # fmt: skip


def request_rate(log: Log) -> Value:
    """Successful requests per second that finish in the steady window of an open-loop load."""
    window = steady_window(log)
    seconds = (window.end_ns - window.begin_ns) / SECOND
    load = [request for request in log.of(Request) if request.purpose == "load" and request.seen_by == "client"]
    good = [r for r in load if not r.error and r.done_ns and window.begin_ns <= r.done_ns < window.end_ns]
    scheduled = [r for r in load if window.begin_ns <= r.scheduled_ns < window.end_ns]
    if not scheduled:
        raise Unmeasurable("not_measured", "no load requests were scheduled in the steady window")
    if not good:
        raise Unmeasurable("not_measured", f"none of the {len(scheduled)} requests in the steady window succeeded")
    finished = by_time([(request.done_ns or 0, 1.0) for request in good], window.begin_ns, window.end_ns)
    lag = [(r.sent_ns - r.scheduled_ns) / 1e6 for r in scheduled if r.sent_ns]
    known = [r.tokens_out for r in good if r.tokens_out is not None]
    achieved, offered = len(good) / seconds, len(scheduled) / seconds
    notes = []
    if achieved < 0.95 * offered:
        notes.append(f"saturated: {achieved:.3g} of {offered:.3g} offered requests/s were answered in the window")
    if len(known) < len(good):
        notes.append("output tokens: the endpoint reports no usage for some answers, so tokens/s is not measured")
    begin = next((begin for begin in log.of(RunBegin) if begin.arrival), None)
    return Value(
        value=achieved, n=len(good), clusters=sum(map(bool, finished)), unit_of_n="time batches",
        ci=stats.student_t([len(batch) * stats.BATCHES / seconds for batch in finished]), invalid=window.invalid,
        ci_method="Student t over time batches", detail="successful requests/s in the steady window", notes=notes,
        breakdown=[Table("load", ["quantity", "value"], [
            ["arrival process", begin.arrival if begin else "not recorded"],
            ["offered requests/s", offered],
            ["achieved / offered", achieved / offered],
            ["send lag p99 (ms)", stats.percentile(lag, 99)],
            ["output tokens/s", sum(known) / seconds if len(known) == len(good) else None],
            ["steady window (s)", seconds],
        ])],
    )  # fmt: skip


def gpu_utilization(log: Log) -> Unmeasurable:
    """No reading exists without a GPU; CPU utilisation stands beside it."""
    hardware = [begin.hardware for begin in log.of(RunBegin)]
    if any(facts.get("gpus") for facts in hardware):
        return Unmeasurable("not_measured", "this machine has a GPU, but no 'sample' events of scope gpu were written")
    cores = max(int(facts.get("cores", 1)) for facts in hardware)
    rows: list[Row] = []
    for name, rate in counter_rate(log.of(Sample), "cpu_ns").items():
        rows.append([name, rate / SECOND, rate / SECOND / cores])
    table = [Table("CPU instead", ["process tree", "cores busy", f"share of {cores} cores"], rows)] if rows else []
    return Unmeasurable("na", "no GPU on this machine", breakdown=table)


_CELLS = [
    Cell("training_speed", "training", "s", "lower", (Epoch, Step, Section), epoch_time,
         command="shosei supervise --run RUN -- shosei train --run RUN"),
    Cell("training_speed", "inference", "s", "lower", (Request,), workload_time,
         command="shosei exam URL --run RUN --suite PATH"),
    Cell("inference_speed", "training", "samples/s", "higher", (Step,), training_rate,
         command="shosei train --run RUN"),
    Cell("inference_speed", "inference", "requests/s", "higher", (Request, Window), request_rate,
         command="shosei load URL --run RUN"),
    Cell("gpu_utilization", "training", "%", "higher", (),
         fact_of_this_machine("training", gpu_utilization), may_read=(Sample,)),
    Cell("gpu_utilization", "inference", "%", "higher", (),
         fact_of_this_machine("inference", gpu_utilization), may_read=(Sample,)),
]  # fmt: skip


def cells(service_level: ServiceLevel) -> list[Cell]:
    """The cells of this group, with goodput counted by ``service_level``."""
    return _CELLS
