"""What agents can call: plain functions of text, which give text and say ``Error: …`` where they cannot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from shosei.agents.tools import calculator as _calculator
from shosei.agents.tools import calendar as _calendar
from shosei.agents.tools import numerals as _numerals
from shosei.agents.tools import units as _units

P = ParamSpec("P")

_LIMIT_S = 60.0
_CHARACTERS = 2000


def as_text(tool: Callable[P, str]) -> Callable[P, str]:
    """``tool``, whose errors of value, arithmetic and depth become text that begins with ``Error``."""

    @wraps(tool)
    def call(*arguments: P.args, **named: P.kwargs) -> str:
        try:
            return tool(*arguments, **named)
        except (ValueError, ArithmeticError, SyntaxError, RecursionError, MemoryError) as error:
            words = str(error).partition("\n")[0]
            return f"Error: {words or type(error).__name__}"

    return call


@as_text
def python(code: str) -> str:
    """Runs a program; returns what it prints."""
    # In the exam's sandbox, a process of its own, so that this package knows no room.
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "shosei.sandbox.python"],
            input=code.encode(),
            capture_output=True,
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        raise ValueError("it takes too long") from None
    if ran.returncode:
        lines = ran.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ValueError(lines[-1] if lines else f"exit code {ran.returncode}")
    return ran.stdout.decode("utf-8", "replace")[:_CHARACTERS].strip()


calculator = as_text(_calculator.calculator)
calendar = as_text(_calendar.calendar)
convert = as_text(_units.convert)
days_between = as_text(_calendar.days_between)
numerals = as_text(_numerals.numerals)
weekday = as_text(_calendar.weekday)
