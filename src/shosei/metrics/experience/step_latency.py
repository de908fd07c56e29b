"""Response time in training: how long a step takes, and how long a run takes to its first."""

from __future__ import annotations

from shosei.log import Log, ProcStart, Section, Step
from shosei.metrics import stats
from shosei.metrics.cell import Value
from shosei.metrics.experience.distribution import (
    Times,
    histogram,
    percentile_figures,
    table,
    too_few,
)
from shosei.metrics.metric import Figure, Table
from shosei.metrics.performance.steps import attempted
from shosei.metrics.series import in_turn
from shosei.metrics.text import text

_MS = 1e6


def step_latency(log: Log) -> Value:
    """Mean time of an optimiser step in ms, and how long a run takes to its first step and first checkpoint.

    Ranks take a step side by side: the slowest one's time is its time, and one machine's clock is read.
    """
    steps = attempted(log.of(Step))
    times = Times(in_turn([max(step.duration_ns for step in ranks) / _MS for ranks in steps]))
    first = steps[0][0]
    sections = [section for section in log.of(Section) if section.boot == first.boot]
    begin = min(
        [start.mono_ns for start in log.of(ProcStart) if start.boot == first.boot]
        or [section.begin_ns for section in sections] + [first.mono_ns - first.duration_ns]
    )
    saved = [section.end_ns for section in sections if section.name == "checkpoint"]
    first_step = (first.mono_ns - begin) / 1e9
    first_checkpoint = (min(saved) - begin) / 1e9 if saved else None
    mean = times.mean()
    figures = percentile_figures(times) | {
        "first_step_s": Figure(first_step, "s", "lower", n=1),
        "first_checkpoint_s": Figure(first_checkpoint, "s", "lower", n=1),
    }
    return Value(
        value=stats.mean(times.values), n=len(steps), clusters=len(times.clusters), ci=mean.ci or (None, None),
        unit_of_n=text("term.time_batches"), ci_method=text("term.t_time_batches"),
        detail=text("experience.mean_step"), figures=figures, notes=too_few(times.values),
        breakdown=[
            table(text("experience.step_latency"), [times.row(text("term.step"))]),
            Table(text("experience.start_up"), [text("experience.from_start_to"), text("term.seconds")], [
                [text("experience.first_step"), first_step],
                [text("experience.first_checkpoint"), first_checkpoint],
            ]),
        ],
        plots=[histogram(text("experience.step_histogram"), times.values, text("experience.steps"))],
    )  # fmt: skip
