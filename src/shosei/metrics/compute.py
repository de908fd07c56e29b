"""All thirty cells of one log."""

from __future__ import annotations

from shosei.log import Log
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
