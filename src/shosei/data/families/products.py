"""Products of two three-digit numbers asked in words: too long for a small model's head, one call of a calculator."""

from __future__ import annotations

from random import Random

from shosei.data.families.family import Call, Family, Problem
from shosei.data.families.numerals import in_words

_FACTORS = range(100, 1000)
_PAIRS = 12_000


class Products(Family):
    """The operand is an ordered pair such as ``347*582``; ``582*347`` is of the same cluster."""

    name = "products"
    directions = ("multiply",)
    max_tokens = 48
    skill = "calculator"

    def operands(self, rng: Random) -> list[str]:
        return list(dict.fromkeys(f"{rng.choice(_FACTORS)}*{rng.choice(_FACTORS)}" for _ in range(_PAIRS)))

    def cluster(self, operand: str) -> str:
        return cluster_of(operand)

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        a, b = map(int, operand.split("*"))
        call = Call("calculator", {"expression": operand}, str(a * b))
        return Problem({"a": in_words(a, lang), "b": in_words(b, lang)}, call.result, calls=[call])


def cluster_of(product: str) -> str:
    """The two factors, in whichever order."""
    return "*".join(sorted(product.split("*")))
