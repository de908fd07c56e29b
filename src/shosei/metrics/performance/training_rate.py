"""How many samples a second of training takes in."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shosei.log import Log, Step
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.metric import Figure, Table
from shosei.metrics.performance.steps import total, whole_steps
from shosei.metrics.series import Batches
from shosei.metrics.text import text

_COMMAND = "shosei supervise --run RUN --step-pattern '... (?P<samples>[0-9]+)' -- CMD"


def training_rate(log: Log) -> Value:
    """Samples per second of optimiser steps, data wait included; of all ranks together, at the slowest one's pace."""
    steps = whole_steps(log.of(Step))
    seconds = [step.duration_ns / SECOND_NS for step in steps]
    if math.fsum(seconds) <= 0:
        raise Unmeasurable("not_measured", text("performance.no_time"))
    samples = _per_second([step.samples for step in steps], seconds, "samples/s")
    tokens = _per_second([step.tokens for step in steps], seconds, "tokens/s")
    rates = Table(text("performance.training_rate"), [text("term.quantity"), text("term.per_second")], [
        [text("performance.samples"), samples.value],
        [text("performance.tokens"), tokens.value],
    ])  # fmt: skip
    if samples.value is None:
        raise Unmeasurable("not_measured", text("performance.samples_unknown"), _COMMAND, [rates])
    return Value(
        value=samples.value, n=len(steps), clusters=samples.n, unit_of_n=text("term.time_batches"),
        ci=samples.ci or (None, None), ci_method=text("term.t_time_batches"),
        detail=text("performance.samples_in_steps"), figures={"tokens_per_s": tokens}, breakdown=[rates],
    )  # fmt: skip


def _per_second(counts: Sequence[int | None], seconds: Sequence[float], unit: str) -> Figure:
    """What the steps counted, per second; without a value where one of them does not tell."""
    counted = total(counts)
    if counted is None:
        return Figure(None, unit, "higher")
    batches = Batches.of_equal_count(seconds, [float(count or 0) for count in counts])
    interval = stats.ratio_interval(batches.tops, batches.bottoms)
    return Figure(counted / math.fsum(seconds), unit, "higher", interval, len(batches))
