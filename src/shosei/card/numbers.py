"""Values as people read them: a fitting unit and about three significant digits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shosei.metrics.metric import Figure, Metric, Text, Words, text

_BYTES = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")]
_TIME = [(3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]
_TIME_FROM = {"h": 2 * 3600.0, "min": 2 * 60.0}  # 90 s reads better than 1.5 min
_SHARE = ""  # a metric without a unit is a share of 1
_COUNT = "restarts"
_MOMENTS = [(86400, "d"), (3600, "h"), (60, "min")]
_TICKS = [
    *(1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200),
    *(days * 86400 for days in (1, 2, 5, 10, 30, 100)),
]  # seconds


@dataclass(frozen=True, slots=True)
class Shown:
    """A measured number in text. All empty where there is none. ``interval`` has the unit of ``value``."""

    value: str = ""
    unit: str = ""
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.unit}".strip()


def shown(measured: Metric | Figure) -> Shown:
    """The value and its interval, both in the unit that suits the value (or, at 0, the interval's end)."""
    if measured.value is None or not math.isfinite(measured.value):
        return Shown()
    low, high = measured.ci or (None, None)
    guide = abs(measured.value) or abs(high or 0.0)
    factor, unit = _scale(guide, measured.unit)
    decimals = _decimals(guide * factor, unit)
    value = measured.value * factor
    digits = _number(value, 0 if unit == _COUNT and value.is_integer() else decimals)
    interval = ""
    if low is not None and high is not None:
        interval = f"[{_number(low * factor, decimals)}, {_number(high * factor, decimals)}]"
    elif low is not None:
        interval = f"≥ {_number(low * factor, decimals)}"
    elif high is not None:
        interval = f"≤ {_number(high * factor, decimals)}"
    return Shown(digits, unit, interval)


def shown_limit(limit: float, unit: str) -> Shown:
    """A limit that somebody wrote, with all its digits, in the unit that suits it."""
    factor, name = _scale(abs(limit), unit)
    return Shown(f"{limit * factor:,.10g}".replace("-", "−"), name)


def band(metric: Metric) -> tuple[float, float, float] | None:
    """Low end, value and high end of a share, in percent of the whole; None for what is no share."""
    if metric.value is None or metric.unit != _SHARE:
        return None
    low, high = metric.ci or (None, None)
    ends = (metric.value if low is None else low, metric.value, metric.value if high is None else high)
    low, value, high = (min(100.0, max(0.0, 100.0 * end)) for end in ends)
    return low, value, high


def cell(value: object) -> Words:
    """A table's cell or a fact of the manifest. None is a dash: not known."""
    if isinstance(value, Text):
        return value
    if value is None:
        return "–"
    if isinstance(value, bool):
        return text("yes") if value else text("no")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "–"
        if 0 < abs(value) < 1e-4:
            return f"{value:.3g}"
        return _number(value, 0 if value.is_integer() else _decimals(abs(value), ""))
    if isinstance(value, list):
        return ", ".join(map(str, value)) or text("none")
    return str(value)


def ticks(seconds: float) -> list[tuple[float, str]]:
    """Round moments from 0 to ``seconds``, about ten at most, for a time axis: where, and what to write there."""
    step = next((step for step in _TICKS if seconds / step <= 9), _TICKS[-1])
    return [(float(at), moment(at)) for at in range(0, math.floor(seconds) + 1, step)]


def moment(seconds: float) -> str:
    """Time since a beginning, to about three digits."""
    size, name = next((step for step in _MOMENTS if seconds >= 2 * step[0]), (1, "s"))
    return f"{_number(seconds / size, 0 if seconds % size == 0 else 1)} {name}"


def _scale(magnitude: float, unit: str) -> tuple[float, str]:
    """Factor and unit to show a value of ``magnitude`` in."""
    base, slash, per = unit.partition("/")
    if unit == _SHARE:
        return 100.0, "%"
    if base in ("B", "bytes", "MB", "GB"):
        in_bytes = {"MB": 1e6, "GB": 1e9}.get(base, 1.0)
        size, name = next((step for step in _BYTES if magnitude * in_bytes >= step[0]), _BYTES[-1])
        if slash and magnitude == 0:
            size, name = 1e6, "MB"
        return in_bytes / size, f"{name}{slash}{per}"
    if unit in ("s", "ms", "ns"):
        in_seconds = {"s": 1.0, "ms": 1e-3, "ns": 1e-9}[unit]
        seconds = magnitude * in_seconds
        if seconds == 0:
            return 1.0, unit
        size, name = next((step for step in _TIME if seconds >= _TIME_FROM.get(step[1], step[0])), _TIME[-1])
        return in_seconds / size, name
    return 1.0, unit


def _decimals(magnitude: float, unit: str) -> int:
    if magnitude == 0:
        return 0
    three_digits = max(0, min(12, 2 - math.floor(math.log10(magnitude))))
    return max(1, three_digits) if unit == "%" else three_digits


def _number(value: float, decimals: int) -> str:
    if abs(value) < 0.5 * 10**-decimals:
        return "0"
    return f"{value:,.{decimals}f}".replace("-", "−")
