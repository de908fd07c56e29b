"""How a tool says what went wrong: to the model, in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

P = ParamSpec("P")


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
