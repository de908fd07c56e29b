"""One measured value and everything a reader needs to believe it, in words of the card's three languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Phase = Literal["training", "inference"]
PHASES: tuple[Phase, Phase] = ("training", "inference")
Kind = Literal["lines", "bars"]
Status = Literal["ok", "na", "not_measured", "insufficient", "invalid"]
POINTS = "points"  # the unit of a difference of shares, in percent: the only one that may be negative

METRIC_IDS: dict[str, tuple[str, ...]] = {
    "performance": ("training_speed", "inference_speed", "gpu_utilization"),
    "accuracy": ("precision", "recall", "f1", "pass_at_1"),
    "resources": ("memory", "disk_io", "network"),
    "reliability": ("crash_rate", "restart_count", "error_rate"),
    "experience": ("response_time", "satisfaction"),
}
CellKey = tuple[str, Phase]
CELL_KEYS: list[CellKey] = [(id, phase) for ids in METRIC_IDS.values() for id in ids for phase in PHASES]
# Figures in money, which a comparison takes for cells of their own.
COST_KEYS: list[CellKey] = [(f"pass_at_1.{figure}", "inference") for figure in ("cost_per_task", "cost_per_solved")]


class Text(msgspec.Struct, frozen=True):
    """A sentence or term by its key in the card's language files, with the values that stand in it."""

    key: str
    values: dict[str, Text | str | int | float | list[str] | None] = {}


Key = str  # of a text that takes no values, where what is told is always the card's own: a title, a heading, a reason
Words = Text | str  # here a str is foreign and stays as it is: a class label, a suite, a process
Row = list[Words | int | float | None]


def text(key: Key, **values: Text | str | int | float | list[str] | None) -> Text:
    """``Text`` with its values as keywords."""
    return Text(key, values)


def worded(said: Key | Text) -> Words:
    """The text that a key names; of nothing to say, nothing."""
    return text(said) if isinstance(said, str) and said else said


class Table(msgspec.Struct, frozen=True):
    """A part of a metric's breakdown, ready to print. ``matrix``: rows are true classes, columns predicted ones.

    ``key`` names it in every language; tables about different suites share one.
    """

    title: Words
    columns: Sequence[Words]
    rows: list[Row]
    matrix: bool = False
    key: str = ""

    @classmethod
    def of(
        cls,
        title: Key | Text,
        columns: Sequence[Key | Text],
        rows: Sequence[Row] | Mapping[Key, Row],
        classes: Sequence[Words] = (),
    ) -> Table:
        """A table in the card's own words; a mapping's keys begin its rows. ``classes`` make it a matrix."""
        if isinstance(rows, Mapping):
            rows = [[text(label), *row] for label, row in rows.items()]
        key = title.key if isinstance(title, Text) else title
        return cls(worded(title), [*map(worded, columns), *classes], list(rows), bool(classes), key)


class Curve(msgspec.Struct, frozen=True):
    """One curve of a plot. None is a gap."""

    label: Words
    y: list[float | None]


class Plot(msgspec.Struct, frozen=True):
    """Curves over a common x axis; ``bars`` for counts of the bins that begin at ``x``."""

    title: Words
    x_label: Words
    y_label: Words
    x: list[float]
    curves: list[Curve]
    kind: Kind = "lines"

    @classmethod
    def of(
        cls, title: Key | Text, x_label: Key, y_label: Key, x: list[float], curves: list[Curve], kind: Kind = "lines"
    ) -> Plot:
        """A plot in the card's own words."""
        return cls(worded(title), worded(x_label), worded(y_label), x, curves, kind)


class Figure(msgspec.Struct, frozen=True):
    """A number beside a metric's value that a profile can set a limit to, such as ``response_time.p95``.

    ``value`` is None where it cannot be told; ``n`` is the number of independent units that support it.
    """

    value: float | None
    unit: str
    direction: Literal["higher", "lower"]
    ci: tuple[float | None, float | None] | None = None
    n: int = 0


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of the scorecard: a metric in a phase.

    ``ci`` is the 95 % interval by ``ci_method``. ``n`` counts observations, ``clusters`` the independent units among
    them. ``value`` is None unless the status is ``ok``, ``insufficient`` or ``invalid``; ``reason`` is in words, and
    never empty unless the status is ``ok``. ``command`` would measure the cell, where something would.
    """

    id: str
    phase: Phase
    unit: str
    direction: Literal["higher", "lower", ""]
    status: Status
    value: float | None = None
    ci: tuple[float | None, float | None] | None = None
    ci_method: Words = ""
    n: int = 0
    clusters: int = 0
    reason: Words = ""
    command: str = ""
    detail: Words = ""  # what exactly the value is, in a few words: "requests/s in the steady window"
    figures: dict[str, Figure] = {}
    breakdown: list[Table] = []
    plots: list[Plot] = []
    notes: Sequence[Words] = []
    version: int = 1
    inputs_digest: str = ""
