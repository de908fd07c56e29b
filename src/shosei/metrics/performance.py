"""Performance: training speed, inference speed, GPU utilisation."""

from __future__ import annotations

import math

from shosei.log import Epoch, Log, ProcExit, Request, Sample, Section, Step, Window
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS
from shosei.metrics.cell import Cell, Unmeasurable, Value
from shosei.metrics.epoch_time import epoch_time
from shosei.metrics.gpu_utilization import gpu_utilization
from shosei.metrics.metric import Figure, Table
from shosei.metrics.request_rate import request_rate
from shosei.metrics.series import Batches, fact_of_this_machine
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.steps import whole_steps
from shosei.metrics.text import text
from shosei.metrics.vantage import outermost


def workload_time(log: Log) -> Value:
    """Seconds of one pass over the frozen workload: the exam's requests, first sent to last answered."""
    vantage, requests = outermost(request for request in log.of(Request) if request.purpose == "exam")
    times = [(request.sent_ns, request.done_ns) for request in requests if request.sent_ns and request.done_ns]
    if not times:
        raise Unmeasurable("not_measured", text("performance.no_exam"))
    failed = sum(bool(request.error) for request in requests)
    seconds = (max(done for _, done in times) - min(sent for sent, _ in times)) / SECOND_NS
    if seconds <= 0:
        raise Unmeasurable("not_measured", text("performance.no_time"))
    columns = ["performance.requests", "term.seconds", "performance.requests_per_s", "term.vantage"]
    return Value(
        value=seconds, n=len(requests), clusters=1, unit_of_n=text("term.passes"), detail=text("performance.pass"),
        ci_method=text("performance.one_pass"),
        invalid=text("performance.pass_failed", failed=failed, requests=len(requests)) if failed else "",
        figures={"requests_per_s": Figure(len(times) / seconds, "requests/s", "higher", n=1)},
        breakdown=[Table(
            text("performance.pass_table"), [text(column) for column in columns],
            [[len(times), seconds, len(times) / seconds, vantage]],
        )],
    )  # fmt: skip


def training_rate(log: Log) -> Value:
    """Samples per second of optimiser steps, data wait included; of all ranks together, at the slowest one's pace."""
    steps = whole_steps(log.of(Step))
    seconds = [step.duration_ns / SECOND_NS for step in steps]
    samples = Batches.of_equal_count(seconds, [float(step.samples) for step in steps])
    tokens = Batches.of_equal_count(seconds, [float(step.tokens) for step in steps])
    total = math.fsum(seconds)
    if total <= 0:
        raise Unmeasurable("not_measured", text("performance.no_time"))
    rate = sum(step.samples for step in steps) / total
    tokens_per_s = Figure(
        sum(step.tokens for step in steps) / total, "tokens/s", "higher",
        stats.ratio_interval(tokens.tops, tokens.bottoms), len(tokens),
    )  # fmt: skip
    return Value(
        value=rate, n=len(steps), clusters=len(samples), unit_of_n=text("term.time_batches"),
        ci=stats.ratio_interval(samples.tops, samples.bottoms), ci_method=text("term.t_time_batches"),
        detail=text("performance.samples_in_steps"), figures={"tokens_per_s": tokens_per_s},
        breakdown=[Table(text("performance.training_rate"), [text("term.quantity"), text("term.per_second")], [
            [text("performance.samples"), rate],
            [text("performance.tokens"), tokens_per_s.value],
        ])],
    )  # fmt: skip


def cells(service_level: ServiceLevel) -> list[Cell]:
    """The cells of this group, with goodput counted by ``service_level``."""
    return [
        Cell("training_speed", "training", "s", "lower", (Epoch, Step, Section), epoch_time, may_read=(ProcExit,),
             command="shosei supervise --run RUN -- shosei train --run RUN"),
        Cell("training_speed", "inference", "s", "lower", (Request,), workload_time,
             command="shosei exam URL --run RUN --suite PATH"),
        Cell("inference_speed", "training", "samples/s", "higher", (Step,), training_rate,
             command="shosei train --run RUN"),
        Cell("inference_speed", "inference", "requests/s", "higher", (Request, Window), request_rate(service_level),
             command="shosei load URL --run RUN"),
        Cell("gpu_utilization", "training", "%", "higher", (),
             fact_of_this_machine("training", gpu_utilization), may_read=(Sample, Step)),
        Cell("gpu_utilization", "inference", "%", "higher", (),
             fact_of_this_machine("inference", gpu_utilization), may_read=(Sample,)),
    ]  # fmt: skip
