"""Half-width and full-width characters, both ways."""

from __future__ import annotations

import string
from random import Random

import jaconv

from shosei.data.families.family import Family, Problem

_CHARACTERS = string.ascii_uppercase + string.digits + "#%&*-/@"
_WORDS = 20_000


class Width(Family):
    """The operand is a half-width code of 2 to 6 capitals, digits and signs. Full-width forms are jaconv's."""

    name = "width"
    directions = ("to_full", "to_half")
    max_tokens = 12

    def operands(self, rng: Random) -> list[str]:
        return list(dict.fromkeys("".join(rng.choices(_CHARACTERS, k=rng.randint(2, 6))) for _ in range(_WORDS)))

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        full = jaconv.h2z(operand, kana=False, ascii=True, digit=True)
        question, answer = (operand, full) if direction == "to_full" else (full, operand)
        return Problem({"x": question}, answer)
