"""Response time of an agent system: how long a task takes, and where its time goes."""

from __future__ import annotations

from collections.abc import Sequence

from shosei.log import Log, Workflow
from shosei.metrics import stats
from shosei.metrics.agents import timing
from shosei.metrics.agents.calls import names
from shosei.metrics.agents.tasks import by_task, calls, submitted, window_of
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.experience.distribution import (
    Times,
    cumulative,
    histogram,
    over_time,
    percentile_figures,
    table,
    too_few,
    unbounded,
)
from shosei.metrics.metric import Plot
from shosei.metrics.series import by_time
from shosei.metrics.text import Text, text


def task_time(log: Log) -> Value:
    """Mean ms from a task's submission to its final answer, over the tasks that got one."""
    tasks = submitted(log)
    times = _times(tasks, tasks)
    if not times.clusters:
        raise Unmeasurable("not_measured", text("agents.no_success", tasks=len(tasks)))
    mean, failed = times.mean(), sum(bool(task.error) for task in tasks)
    made = calls(log)[1]
    rows = [_times([task for task in tasks if task.system == name], tasks).row(name) for name in _systems(tasks)]
    return Value(
        value=stats.mean(times.values), n=len(times.values), clusters=len(times.clusters), ci=mean.ci or (None, None),
        unit_of_n=text("term.time_batches"), ci_method=text("term.t_time_batches"), detail=text("agents.mean_task"),
        figures=percentile_figures(times), notes=_notes(times, failed, len(tasks)), plots=_plots(times, tasks),
        breakdown=[
            table(text("agents.tasks_by_system"), [*rows, unbounded(times, failed)]),
            *timing.tables(tasks, by_task(made), names(made)),
        ],
    )  # fmt: skip


def _systems(tasks: Sequence[Workflow]) -> list[str]:
    return sorted({task.system for task in tasks})


def _stretches(some: Sequence[Workflow], tasks: Sequence[Workflow]) -> list[list[float]]:
    """Milliseconds of those of ``some`` that were answered, by when they were submitted among all ``tasks``."""
    window = window_of([*tasks])
    points = [(task.scheduled_ns, (task.end_ns - task.scheduled_ns) / 1e6) for task in some if not task.error]
    return by_time(points, window.begin_ns, window.end_ns)


def _times(some: Sequence[Workflow], tasks: Sequence[Workflow]) -> Times:
    return Times.known(_stretches(some, tasks))


def _notes(times: Times, failed: int, count: int) -> list[Text]:
    notes = too_few(times.values)
    if failed:
        notes.append(text("agents.unbounded", failed=failed, count=count, share=f"{failed / count:.1%}"))
    return notes


def _plots(times: Times, tasks: Sequence[Workflow]) -> list[Plot]:
    window = window_of([*tasks])
    return [
        histogram(text("agents.time_histogram"), times.values, text("agents.tasks")),
        cumulative(text("experience.answered_within"), [(text("agents.tasks"), times.values)]),
        over_time(text("agents.time_over_time"), _stretches(tasks, tasks), (window.end_ns - window.begin_ns) / 1e9),
    ]
