"""What one cell of the card is made of: a function, the event kinds it reads, and how it says that it cannot tell.

A cell's function sees only the kinds that it declares, so the table of what feeds what cannot be wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from shosei.log import Event, Log, RunBegin
from shosei.metrics.metric import POINTS, Figure, Key, Metric, Phase, Plot, Status, Table, Text, Words, text, worded
from shosei.metrics.stats import MIN_CLUSTERS, Interval
from shosei.metrics.stats.observations import Observations
from shosei.quantity import rounded


class Unmeasurable(Exception):
    """A cell has no value: ``na`` (it cannot exist here), ``not_measured`` (nobody measured it) or ``invalid``."""

    def __init__(
        self,
        status: Status,
        reason: Key | Text,
        command: str = "",
        breakdown: Sequence[Table] = (),
        plots: Sequence[Plot] = (),
    ) -> None:
        super().__init__(str(reason))
        self.status, self.reason, self.command = status, worded(reason), command
        self.breakdown, self.plots = list(breakdown), list(plots)


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


@dataclass(frozen=True, slots=True)
class Cell:
    """``needs`` must be in the log or the cell is not measured; ``may_read`` may be missing and then means zero."""

    id: str
    phase: Phase
    unit: str
    direction: Literal["higher", "lower"]
    needs: tuple[type[Event], ...]
    function: Callable[[Log], Value]
    may_read: tuple[type[Event], ...] = ()
    command: str = ""
    absent: Key = ""  # why it is not measured when an event kind is missing; by default the kind's name

    def view(self, log: Log) -> Log:
        """What of the log the cell's functions may see: its kinds of events, in its phase, and every run.begin."""
        view = Log(log.attempt, {kind: log.part(kind, self.phase) for kind in (*self.needs, *self.may_read)})
        view.events[RunBegin] = log.of(RunBegin)
        return view

    def compute(self, log: Log) -> Metric:
        """The cell's metric on one attempt."""
        return self.measure(log)[0]

    def measure(self, log: Log) -> tuple[Metric, Observations | None]:
        """The cell's metric on one attempt, and the observations that its value is made of. Cells without them are
        compared only over repeated runs."""
        if not log.of(RunBegin):
            return self._without_value("not_measured", text("cell.no_run_begin")), None
        view = self.view(log)
        for kind in self.needs:
            if not view.part(kind):
                name = str(kind.__struct_config__.tag)
                reason = worded(self.absent) or text("cell.no_events", kind=name, phase=text(f"phase.{self.phase}"))
                return self._without_value("not_measured", reason), None
        try:
            found = self.function(view)
        except Unmeasurable as error:
            return self._without_value(error.status, error.reason, error.command, error.breakdown, error.plots), None
        status, reason = _status(found)
        metric = Metric(
            id=self.id,
            phase=self.phase,
            unit=self.unit,
            direction=self.direction,
            status=status,
            reason=reason,
            value=rounded(found.value),
            ci=_bounds(found.ci, self.unit),
            ci_method=worded(found.ci_method),
            n=found.n,
            clusters=found.clusters,
            detail=worded(found.detail),
            breakdown=found.breakdown,
            plots=found.plots,
            notes=[worded(note) for note in found.notes],
            figures=_figures(found),
            command=self.command if status != "ok" else "",
            inputs_digest=_digest(view),
        )
        return metric, found.observations

    def _without_value(
        self,
        status: Status,
        reason: Words,
        command: str = "",
        breakdown: Sequence[Table] = (),
        plots: Sequence[Plot] = (),
    ) -> Metric:
        command = "" if status == "na" else command or self.command
        return Metric(
            id=self.id,
            phase=self.phase,
            unit=self.unit,
            direction=self.direction,
            status=status,
            reason=reason,
            command=command,
            breakdown=list(breakdown),
            plots=list(plots),
        )


def _status(found: Value) -> tuple[Status, Words]:
    if found.invalid:
        return "invalid", found.invalid
    if found.clusters < MIN_CLUSTERS:
        reason = text("cell.too_few", units=worded(found.unit_of_n), clusters=found.clusters, least=MIN_CLUSTERS)
        return "insufficient", reason
    return "ok", ""


def _bounds(ci: Interval, unit: str) -> Interval:
    """Only a difference can be negative: of all else a symmetric interval of few values is cut at 0."""
    low, high = ci
    return rounded(low if low is None or unit == POINTS else max(0.0, low)), rounded(high)


def _figures(found: Value) -> dict[str, Figure]:
    return {
        name: msgspec.structs.replace(
            figure, value=rounded(figure.value), ci=figure.ci and _bounds(figure.ci, figure.unit)
        )
        for name, figure in found.figures.items()
    }


def _digest(view: Log) -> str:
    digest = hashlib.sha256()
    for kind in sorted(view.events, key=lambda kind: str(kind.__struct_config__.tag)):
        for line in view.lines(kind):
            digest.update(line)
    return digest.hexdigest()
