"""All thirty cells of one log."""

from __future__ import annotations

from shosei.log import Event, Log, RunBegin
from shosei.metrics import accuracy, experience, performance, reliability, resources
from shosei.metrics.cell import Cell
from shosei.metrics.metric import Metric

CELLS: list[Cell] = [
    *performance.CELLS,
    *accuracy.CELLS,
    *resources.CELLS,
    *reliability.CELLS,
    *experience.CELLS,
]


def compute(log: Log) -> list[Metric]:
    """The 15 metrics of one attempt, each for training and for inference, in the card's order. A pure function."""
    return [cell.compute(log) for cell in CELLS]


def feeds(kind: type[Event]) -> set[tuple[str, str]]:
    """The cells (metric id, phase) that cannot be measured without events of ``kind``."""
    return {(cell.id, cell.phase) for cell in CELLS if kind in cell.needs or kind is RunBegin}
