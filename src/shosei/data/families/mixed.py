"""Two steps in two languages: a product, and then the other language's numerals."""

from __future__ import annotations

from random import Random

from shosei.data.families.family import Call, Family, Problem
from shosei.data.families.numerals import in_words
from shosei.data.families.products import cluster_of

_FACTORS = range(100, 1000)
_SUMMANDS = range(1000, 10_000)
_TRIPLES = 12_000
_OTHER = {"zh": "ja", "ja": "zh"}


class Mixed(Family):
    """The operand is two factors and a summand, such as ``347*582+1205``.

    ``convert`` asks for the product in the other language's numerals; ``add`` quotes the summand in them.
    """

    name = "mixed"
    directions = ("convert", "add")
    max_tokens = 48
    shares_split_of = "products"
    skill = "calculator"

    def operands(self, rng: Random) -> list[str]:
        drawn = (f"{rng.choice(_FACTORS)}*{rng.choice(_FACTORS)}+{rng.choice(_SUMMANDS)}" for _ in range(_TRIPLES))
        return list(dict.fromkeys(drawn))

    def cluster(self, operand: str) -> str:
        return cluster_of(operand.partition("+")[0])

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        product, _, summand = operand.partition("+")
        a, b = map(int, product.split("*"))
        slots = {"a": in_words(a, lang), "b": in_words(b, lang)}
        other = _OTHER[lang]
        if direction == "add":
            call = Call("calculator", {"expression": operand}, str(a * b + int(summand)))
            return Problem(slots | {"c": in_words(int(summand), other)}, call.result, calls=[call])
        words = in_words(a * b, other)
        multiply = Call("calculator", {"expression": product}, str(a * b))
        convert = Call("numerals", {"number": str(a * b), "language": other}, words)
        return Problem(slots, words, calls=[multiply, convert])
