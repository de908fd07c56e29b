"""One measured value and everything a reader needs to believe it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from shosei.metrics.text import Words

Phase = Literal["training", "inference"]
PHASES: tuple[Phase, Phase] = ("training", "inference")
Status = Literal["ok", "na", "not_measured", "insufficient", "invalid"]
POINTS = "points"  # the unit of a difference of shares, in percent: the only one that may be negative
Row = list[Words | int | float | None]

METRIC_IDS: dict[str, tuple[str, ...]] = {
    "performance": ("training_speed", "inference_speed", "gpu_utilization"),
    "accuracy": ("precision", "recall", "f1", "pass_at_1"),
    "resources": ("memory", "disk_io", "network"),
    "reliability": ("crash_rate", "restart_count", "error_rate"),
    "experience": ("response_time", "satisfaction"),
}


class Table(msgspec.Struct, frozen=True):
    """A part of a metric's breakdown, ready to print. ``matrix``: rows are true classes, columns predicted ones."""

    title: Words
    columns: Sequence[Words]
    rows: list[Row]
    matrix: bool = False


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
    kind: Literal["lines", "bars"] = "lines"


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
