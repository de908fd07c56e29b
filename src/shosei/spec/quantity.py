"""Numbers as people write and read them: ``2GB``, ``100e6``, ``10B``."""

from __future__ import annotations

import math
import re

from shosei.errors import InputError

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
_SIZES = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")]
_MULTITUDES = [(1e12, "trillion"), (1e9, "billion"), (1e6, "million")]
# From how many seconds on, the unit's length, its name.
_LENGTHS = [
    (2 * 365.25 * 86400.0, 365.25 * 86400.0, "years"),
    (2 * 86400.0, 86400.0, "days"),
    (7200.0, 3600.0, "h"),
    (120.0, 60.0, "min"),
    (1.0, 1.0, "s"),
    (1e-3, 1e-3, "ms"),
    (0.0, 1e-6, "µs"),
]


def parse_count(text: str, option: str) -> int:
    """``100e6``, ``100M`` or ``10B`` as a whole number above 0. Raises InputError that names ``option``."""
    return _parse(text, option, _COUNTS, "a number above 0, such as 100e6 or 100M")


def parse_bytes(text: str, option: str) -> int:
    """``2GB`` or ``512MiB`` in bytes, above 0. Raises InputError that names ``option``."""
    return _parse(text, option, _BYTES, "an amount above 0, such as 2GB")


def shown_count(value: float) -> str:
    """Three significant digits, from a million on."""
    for size, name in _MULTITUDES:
        if value >= size:
            return f"{_three_digits(value / size)} {name}"
    return f"{value:,.0f}"


def shown_bytes(value: float) -> str:
    """Three significant digits in the unit that fits."""
    for size, unit in _SIZES:
        if value >= size:
            return f"{_three_digits(value / size)} {unit}"
    return f"{value:.0f} B"


def shown_seconds(value: float) -> str:
    """Three significant digits, from microseconds to years."""
    _, length, unit = next(row for row in _LENGTHS if value >= row[0])
    return f"{_three_digits(value / length)} {unit}"


def _three_digits(value: float) -> str:
    decimals = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{decimals}f}"


def _parse(text: str, option: str, units: dict[str, float], kind: str) -> int:
    found = re.fullmatch(r"([0-9][0-9_]*(?:\.[0-9]+)?(?:e\+?[0-9]{1,3})?)\s*([a-z]*)", text.strip(), re.IGNORECASE)
    value = float(found[1]) * units.get(found[2].lower(), 0.0) if found else 0.0
    if not 1 <= value < 1e24:
        raise InputError(f"{option} {text}: write {kind}", param=option.lstrip("-"))
    return round(value)
