"""Sums, products asked in words, and products in the other language's numerals."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import ClassVar

from shosei.data.families.conversions import in_words
from shosei.data.families.family import Call, Family, Problem

_FACTORS = range(100, 1000)
_SUMMANDS = range(1000, 10_000)
_DRAWN = 12_000
_OTHER = {"zh": "ja", "ja": "zh"}


class Sums(Family):
    """Of two two-digit numbers. The operand is an ordered pair such as ``85+37``; ``37+85`` is of the same cluster."""

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


class Products(Family):
    """Of two three-digit numbers: too long for a small model's head, one call of a calculator.

    The operand is an ordered pair such as ``347*582``; ``582*347`` is of the same cluster.
    """

    name = "products"
    directions: ClassVar[tuple[str, ...]] = ("multiply",)
    max_tokens = 48
    skill = "calculator"

    def operands(self, rng: Random) -> list[str]:
        return list(dict.fromkeys(f"{rng.choice(_FACTORS)}*{rng.choice(_FACTORS)}" for _ in range(_DRAWN)))

    def cluster(self, operand: str) -> str:
        factors, _, _ = operand.partition("+")
        return "*".join(sorted(factors.split("*")))

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        a, b = map(int, operand.split("*"))
        call = Call("calculator", {"expression": operand}, str(a * b))
        return Problem({"a": in_words(a, lang), "b": in_words(b, lang)}, call.result, calls=[call])


class Mixed(Products):
    """Two steps in two languages. The operand is two factors and a summand, such as ``347*582+1205``.

    ``convert`` asks for the product in the other language's numerals; ``add`` quotes the summand in them.
    """

    name = "mixed"
    directions = ("convert", "add")
    shares_split_of = "products"

    def operands(self, rng: Random) -> list[str]:
        drawn = (f"{rng.choice(_FACTORS)}*{rng.choice(_FACTORS)}+{rng.choice(_SUMMANDS)}" for _ in range(_DRAWN))
        return list(dict.fromkeys(drawn))

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        factors, _, summand = operand.partition("+")
        alone, other = super().problem(factors, lang, direction), _OTHER[lang]
        result = int(alone.answer)
        if direction == "add":
            call = Call("calculator", {"expression": operand}, str(result + int(summand)))
            return Problem(alone.slots | {"c": in_words(int(summand), other)}, call.result, calls=[call])
        words = in_words(result, other)
        convert = Call("numerals", {"number": alone.answer, "language": other}, words)
        return Problem(alone.slots, words, calls=[*alone.calls, convert])
