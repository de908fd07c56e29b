"""One measured value and everything a reader needs to believe it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Phase = Literal["training", "inference"]
Status = Literal["ok", "na", "not_measured", "insufficient", "invalid"]
Row = list[str | int | float | None]

METRIC_IDS: dict[str, tuple[str, ...]] = {
    "performance": ("training_speed", "inference_speed", "gpu_utilization"),
    "accuracy": ("precision", "recall", "f1", "pass_at_1"),
    "resources": ("memory", "disk_io", "network"),
    "reliability": ("crash_rate", "restart_count", "error_rate"),
    "experience": ("response_time", "satisfaction"),
}


class Table(msgspec.Struct, frozen=True):
    """A part of a metric's breakdown, ready to print. ``title`` and ``columns`` are short English terms."""

    title: str
    columns: list[str]
    rows: list[Row]


class Plot(msgspec.Struct, frozen=True):
    """Curves over a common x axis. None is a gap."""

    title: str
    x_label: str
    y_label: str
    x: list[float]
    series: dict[str, list[float | None]]


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
    ci_method: str = ""
    n: int = 0
    clusters: int = 0
    reason: str = ""
    command: str = ""
    detail: str = ""  # what exactly the value is, in a few words: "requests/s in the steady window"
    breakdown: list[Table] = []
    plots: list[Plot] = []
    notes: list[str] = []
    version: int = 1
    inputs_digest: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values
