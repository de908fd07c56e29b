"""The cells that an agent system's tasks measure instead of requests."""

from __future__ import annotations

from shosei.log import Exec, Request, Score, Workflow
from shosei.metrics.accuracy import pass_rates
from shosei.metrics.agents.solved import solved_tasks
from shosei.metrics.agents.task_errors import error_units, task_errors
from shosei.metrics.agents.task_pass import task_pass
from shosei.metrics.agents.task_rate import task_rate
from shosei.metrics.agents.task_time import task_time
from shosei.metrics.cell import Cell
from shosei.metrics.metric import Phase
from shosei.metrics.service_level import ServiceLevel

_RUN = "shosei agents run SYSTEM --tasks SUITE --base-url URL --run RUN"


def cells(service_level: ServiceLevel) -> list[Cell]:
    """The cells of this group, with goodput counted by ``service_level``."""
    return [
        Cell("training_speed", "inference", "s", "lower", (Workflow,), task_pass, command=_RUN),
        Cell("inference_speed", "inference", "tasks/s", "higher", (Workflow,), task_rate(service_level), (Request,),
             command=_RUN),
        Cell("pass_at_1", "inference", "", "higher", (Score, Workflow), solved_tasks, (Exec,), command=_RUN,
             units=pass_rates.units),
        Cell("error_rate", "inference", "", "lower", (Workflow,), task_errors, (Request,), command=_RUN,
             units=error_units),
        Cell("response_time", "inference", "ms", "lower", (Workflow,), task_time, (Request,), command=_RUN),
    ]  # fmt: skip


KEYS: list[tuple[str, Phase]] = [(cell.id, cell.phase) for cell in cells(ServiceLevel())]
