"""What a cell's function returns, and how it says that it cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from shosei.metrics.metric import Figure, Key, Plot, Status, Table, Text, Words, worded
from shosei.metrics.stats import Interval
from shosei.metrics.stats.observations import Observations


class Unmeasurable(Exception):
    """A cell has no value: ``na`` (it cannot exist here), ``not_measured`` (nobody measured it) or ``invalid``."""

    def __init__(
        self,
        status: Status,
        reason: Key | Text,
        command: str = "",
        breakdown: Sequence[Table] = (),
        plots: Sequence[Plot] = (),
        notes: Sequence[Key | Text] = (),
    ) -> None:
        super().__init__(str(reason))
        self.status, self.reason, self.command = status, worded(reason), command
        self.breakdown, self.plots, self.notes = list(breakdown), list(plots), list(notes)


@dataclass(slots=True)
class Value:
    """What a cell's function found. ``clusters`` decides whether it is ``ok`` or ``insufficient``."""

    value: float
    n: int
    clusters: int
    unit_of_n: Key  # what a cluster is: time batches, tasks, process starts
    ci: Interval = (None, None)
    ci_method: Key = ""
    detail: Key | Text = ""
    invalid: Words = ""  # why the measurement itself failed a check
    figures: dict[str, Figure] = field(default_factory=dict)
    breakdown: list[Table] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    notes: Sequence[Key | Text] = field(default_factory=list)
    observations: Observations | None = None  # what the value is made of, where a comparison can pair or resample it
