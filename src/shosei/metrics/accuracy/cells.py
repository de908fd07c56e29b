"""The cells of accuracy."""

from __future__ import annotations

from shosei.log import Exec, Score, Workflow
from shosei.metrics.accuracy import classification, pass_rates
from shosei.metrics.accuracy.confusion import MEASURES
from shosei.metrics.cell import Cell
from shosei.metrics.metric import Phase

_COMMANDS: dict[Phase, str] = {
    "training": "shosei train --run RUN",
    "inference": "shosei exam URL --run RUN --suite PATH",
}

CELLS = [
    Cell(
        measure, phase, "", "higher", (Score,), classification.classification(measure),
        may_read=(Workflow,), command=command, units=classification.units(measure),
    )
    for measure in MEASURES
    for phase, command in _COMMANDS.items()
] + [
    Cell(
        "pass_at_1", phase, "", "higher", (Score,), pass_rates.pass_at_1,
        may_read=(Exec,), command=command, units=pass_rates.units,
    )
    for phase, command in _COMMANDS.items()
]  # fmt: skip
