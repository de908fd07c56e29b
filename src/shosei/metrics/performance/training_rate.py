"""How many samples a second of training takes in."""

from __future__ import annotations

import math

from shosei.log import Log, Step
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.metric import Figure, Table
from shosei.metrics.performance.steps import whole_steps
from shosei.metrics.series import Batches
from shosei.metrics.text import text


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
