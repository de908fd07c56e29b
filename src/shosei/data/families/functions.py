"""Small Python functions to write: a name, an operation, a constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from shosei.data.families.family import Family, Problem

_INPUTS = (0, 1, 12, 345, -6)


@dataclass(frozen=True, slots=True)
class _Operation:
    """``words`` say in each language what is returned; ``{c}`` is the constant."""

    symbol: str
    apply: Callable[[int, int], int]
    words: dict[str, str]


_OPERATIONS = {
    "add": _Operation("+", lambda x, c: x + c, {"zh": "x加{c}的和", "ja": "xに{c}を足した値"}),
    "sub": _Operation("-", lambda x, c: x - c, {"zh": "x减{c}的差", "ja": "xから{c}を引いた値"}),
    "mul": _Operation("*", lambda x, c: x * c, {"zh": "x乘以{c}的积", "ja": "xに{c}を掛けた値"}),
    "mod": _Operation("%", lambda x, c: x % c, {"zh": "x除以{c}的余数", "ja": "xを{c}で割った余り"}),
}


class Functions(Family):
    """The operand is an operation and a constant from 2 to 99, such as ``add 7``; the constant is held out."""

    name = "functions"
    directions = ("write",)
    grader = "python"
    max_tokens = 48

    def operands(self, rng: Random) -> list[str]:
        return [f"{operation} {constant}" for constant in range(2, 100) for operation in _OPERATIONS]

    def cluster(self, operand: str) -> str:
        return operand.split()[1]

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        name, constant = operand.split()
        operation = _OPERATIONS[name]
        entry_point = f"{name}_{constant}"
        return Problem(
            slots={"name": entry_point, "value": operation.words[lang].format(c=constant)},
            answer=f"def {entry_point}(x):\n    return x {operation.symbol} {constant}",
            entry_point=entry_point,
            tests=[([x], operation.apply(x, int(constant))) for x in _INPUTS],
        )
