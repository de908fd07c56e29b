"""Numbers as people write and read them: ``2GB`` and ``100e6`` in, a fitting unit and three significant digits out.

The only formatter of measured numbers, and the only rounding of those that are stored.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from shosei.errors import InputError

NS_PER_S, NS_PER_MS = 1_000_000_000, 1_000_000

_COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_BYTES = {
    "": 1.0,
    "b": 1.0,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "tb": 1e12,
    "kib": 2.0**10,
    "mib": 2.0**20,
    "gib": 2.0**30,
}
_TIMES = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_MULTITUDES = [(1e12, "trillion"), (1e9, "billion"), (1e6, "million")]
_SIZES = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")]
_DAY = 86400.0
# From how many seconds on, the unit's length, its name: 90 s reads better than 1.5 min.
_LENGTHS = [
    (2 * 365.25 * _DAY, 365.25 * _DAY, "years"),
    (2 * _DAY, _DAY, "days"),
    (2 * 3600.0, 3600.0, "h"),
    (2 * 60.0, 60.0, "min"),
    *((length, length, name) for length, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))),
]
_IN_BYTES = {"B": 1.0, "bytes": 1.0, "MB": 1e6, "GB": 1e9}
_IN_SECONDS = {"s": 1.0, "ms": 1e-3, "ns": 1e-9}
_SHARE = ""  # a share of 1 has no unit, and is shown in percent
_COUNT = "restarts"


@dataclass(frozen=True, slots=True)
class Shown:
    """A measured number in text. All empty where there is none. ``interval`` has the unit of ``value``."""

    value: str = ""
    unit: str = ""
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.unit}".strip()


def shown(value: float | None, unit: str, ci: tuple[float | None, float | None] | None = None) -> Shown:
    """The value and its interval, both in the unit that suits the value (or, at 0, the interval's end)."""
    if value is None or not math.isfinite(value):
        return Shown()
    low, high = ci or (None, None)
    guide = abs(value) or abs(high or 0.0)
    factor, suited = _suited(guide, unit)
    decimals = max(three_digits(guide * factor), 1 if suited == "%" and guide else 0)
    value *= factor
    digits = number(value, 0 if suited == _COUNT and value.is_integer() else decimals)
    interval = ""
    if low is not None and high is not None:
        interval = f"[{number(low * factor, decimals)}, {number(high * factor, decimals)}]"
    elif low is not None:
        interval = f"≥ {number(low * factor, decimals)}"
    elif high is not None:
        interval = f"≤ {number(high * factor, decimals)}"
    return Shown(digits, suited, interval)


def shown_limit(limit: float, unit: str) -> Shown:
    """A limit that somebody wrote, with all its digits, in the unit that suits it."""
    factor, suited = _suited(abs(limit), unit)
    return Shown(f"{limit * factor:,.10g}".replace("-", "−"), suited)


def shown_bytes(value: float) -> str:
    """Three significant digits in the unit that fits."""
    return str(shown(value, "B"))


def shown_seconds(value: float) -> str:
    """Three significant digits, from nanoseconds to years."""
    return str(shown(value, "s"))


def shown_count(value: float) -> str:
    """Three significant digits, from a million on."""
    size, name = next((step for step in _MULTITUDES if value >= step[0]), (1.0, ""))
    return f"{number(value / size, three_digits(value / size) if name else 0)} {name}".rstrip()


def number(value: float, decimals: int) -> str:
    """``value`` with thousands signs and a minus sign; 0 without decimals."""
    if abs(value) < 0.5 * 10**-decimals:
        return "0"
    return f"{value:,.{decimals}f}".replace("-", "−")


def three_digits(magnitude: float) -> int:
    """How many decimals give ``magnitude`` three significant digits."""
    return max(0, min(12, 2 - math.floor(math.log10(magnitude)))) if magnitude else 0


def rounded(value: float | None, digits: int = 12) -> float | None:
    """To significant digits: the last bits of a double differ between machines. None for what is not finite."""
    return float(f"{value:.{digits}g}") if value is not None and math.isfinite(value) else None


def parse_count(text: str, option: str) -> int:
    """``100e6``, ``100M`` or ``10B`` as a whole number above 0. Raises InputError that names ``option``."""
    return _parse(text, option, _COUNTS, "a number above 0, such as 100e6 or 100M")


def parse_bytes(text: str, option: str) -> int:
    """``2GB`` or ``512MiB`` in bytes, above 0. Raises InputError that names ``option``."""
    return _parse(text, option, _BYTES, "an amount above 0, such as 2GB")


def parse_seconds(text: str, option: str) -> int:
    """``90``, ``10m`` or ``2h`` in seconds, at least 1. Raises InputError that names ``option``."""
    return _parse(text, option, _TIMES, "a time of at least a second, such as 90s, 10m or 2h")


def _suited(magnitude: float, unit: str) -> tuple[float, str]:
    """Factor and unit to show a value of ``magnitude`` in."""
    base, slash, per = unit.partition("/")
    if unit == _SHARE:
        return 100.0, "%"
    if base in _IN_BYTES:
        in_bytes = _IN_BYTES[base]
        size, name = next((step for step in _SIZES if magnitude * in_bytes >= step[0]), _SIZES[-1])
        if slash and magnitude == 0:
            size, name = 1e6, "MB"
        return in_bytes / size, f"{name}{slash}{per}"
    if unit in _IN_SECONDS and magnitude:
        in_seconds = _IN_SECONDS[unit]
        _, length, name = next((step for step in _LENGTHS if magnitude * in_seconds >= step[0]), _LENGTHS[-1])
        return in_seconds / length, name
    return 1.0, unit


def _parse(text: str, option: str, units: dict[str, float], kind: str) -> int:
    written = re.fullmatch(r"([0-9][0-9_]*(?:\.[0-9]+)?(?:e\+?[0-9]{1,3})?)\s*([a-z]*)", text.strip(), re.IGNORECASE)
    value = float(written[1]) * units.get(written[2].lower(), 0.0) if written else 0.0
    if not 1 <= value < 1e24:
        raise InputError(f"{option} {text}: write {kind}", param=option.lstrip("-"))
    return round(value)
