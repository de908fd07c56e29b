"""All thirty cells of one log."""

from __future__ import annotations

from shosei.log import Log
from shosei.metrics.accuracy import cells as accuracy
from shosei.metrics.agents import cells as agents
from shosei.metrics.agents.tasks import submitted
from shosei.metrics.cell import Cell
from shosei.metrics.experience import cells as experience
from shosei.metrics.metric import Metric
from shosei.metrics.performance import cells as performance
from shosei.metrics.reliability import cells as reliability
from shosei.metrics.resources import cells as resources
from shosei.metrics.service_level import ServiceLevel


def cells(service_level: ServiceLevel, *, of_tasks: bool = False) -> list[Cell]:
    """The 30 cells, in the card's order. ``of_tasks``: as they are where an agent system was given tasks."""
    instead = {(cell.id, cell.phase): cell for cell in agents.cells(service_level)} if of_tasks else {}
    found = [
        *performance.cells(service_level),
        *accuracy.CELLS,
        *resources.CELLS,
        *reliability.CELLS,
        *experience.CELLS,
    ]
    return [instead.get((cell.id, cell.phase), cell) for cell in found]


def cells_of(log: Log, service_level: ServiceLevel) -> list[Cell]:
    """The 30 cells that fit what an attempt measured: tasks, where there are any, stand before single requests."""
    return cells(service_level, of_tasks=bool(submitted(log)))


def compute(log: Log, service_level: ServiceLevel | None = None) -> list[Metric]:
    """The 15 metrics of one attempt, each for training and for inference, in the card's order. A pure function.

    ``service_level`` is what goodput counts by.
    """
    return [cell.compute(log) for cell in cells_of(log, service_level or ServiceLevel())]
