"""Sums of two two-digit numbers."""

from __future__ import annotations

from itertools import product
from random import Random

from shosei.data.families.family import Family, Problem


class Sums(Family):
    """The operand is an ordered pair such as ``85+37``; ``37+85`` is of the same cluster."""

    name = "sums"
    directions = ("add",)
    max_tokens = 6

    def operands(self, rng: Random) -> list[str]:
        return [f"{a}+{b}" for a, b in product(range(10, 100), repeat=2)]

    def cluster(self, operand: str) -> str:
        return "+".join(sorted(operand.split("+")))

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        a, b = operand.split("+")
        return Problem({"a": a, "b": b}, str(int(a) + int(b)))
