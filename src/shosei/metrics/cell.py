"""One cell of the card: what its function may see of the log, and the metric that is made of its value."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from shosei.log import Event, Log, RunBegin
from shosei.metrics.metric import (
    POINTS,
    Figure,
    Key,
    Metric,
    Phase,
    Plot,
    Status,
    Table,
    Text,
    Words,
    text,
    worded,
)
from shosei.metrics.stats import MIN_CLUSTERS, Interval
from shosei.metrics.stats.observations import Observations
from shosei.metrics.value import Unmeasurable, Value
from shosei.quantity import rounded


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric in one phase: a function, the event kinds that it reads, and the command that would measure it.

    The function sees only those kinds, so the table of what feeds what cannot be wrong. ``needs`` must be in the log or
    the cell is not measured; ``may_read`` may be missing and then means zero.
    """

    id: str
    phase: Phase
    unit: str
    direction: Literal["higher", "lower"]
    needs: tuple[type[Event], ...]
    function: Callable[[Log], Value]
    may_read: tuple[type[Event], ...] = ()
    command: str = ""
    absent: Key = ""  # why it is not measured when an event kind is missing; by default what that kind is

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
        view = self.view(log)
        for kind in self.needs:
            if not view.part(kind):
                what = text(f"kind.{kind.__struct_config__.tag}")
                reason = worded(self.absent) or text("cell.no_events", kind=what, phase=text(f"phase.{self.phase}"))
                return self._without_value("not_measured", reason), None
        try:
            value = self.function(view)
        except Unmeasurable as error:
            told = (error.reason, error.command, error.breakdown, error.plots, error.notes)
            return self._without_value(error.status, *told), None
        status, reason = _status(value)
        metric = Metric(
            id=self.id,
            phase=self.phase,
            unit=self.unit,
            direction=self.direction,
            status=status,
            reason=reason,
            value=rounded(value.value),
            ci=_bounds(value.ci, self.unit),
            ci_method=worded(value.ci_method),
            n=value.n,
            clusters=value.clusters,
            detail=worded(value.detail),
            breakdown=value.breakdown,
            plots=value.plots,
            notes=[worded(note) for note in value.notes],
            figures=_figures(value),
            command=self.command if status != "ok" else "",
            inputs_digest=_digest(view),
        )
        return metric, value.observations

    def _without_value(
        self,
        status: Status,
        reason: Words,
        command: str = "",
        breakdown: Sequence[Table] = (),
        plots: Sequence[Plot] = (),
        notes: Sequence[Key | Text] = (),
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
            notes=[worded(note) for note in notes],
        )


def _status(value: Value) -> tuple[Status, Words]:
    if value.invalid:
        return "invalid", value.invalid
    if value.clusters < MIN_CLUSTERS:
        reason = text("cell.too_few", units=worded(value.unit_of_n), clusters=value.clusters, least=MIN_CLUSTERS)
        return "insufficient", reason
    return "ok", ""


def _bounds(ci: Interval, unit: str) -> Interval:
    """Only a difference can be negative: of all else a symmetric interval of few values is cut at 0."""
    low, high = ci
    return rounded(low if low is None or unit == POINTS else max(0.0, low)), rounded(high)


def _figures(value: Value) -> dict[str, Figure]:
    return {
        name: msgspec.structs.replace(
            figure, value=rounded(figure.value), ci=figure.ci and _bounds(figure.ci, figure.unit)
        )
        for name, figure in value.figures.items()
    }


def _digest(view: Log) -> str:
    digest = hashlib.sha256()
    for kind in sorted(view.events, key=lambda kind: str(kind.__struct_config__.tag)):
        for line in view.lines(kind):
            digest.update(line)
    return digest.hexdigest()
