"""Hiragana and katakana, both ways."""

from __future__ import annotations

from random import Random

import jaconv

from shosei.data.families.family import Family, Problem

_HIRAGANA = [chr(code) for code in range(ord("ぁ"), ord("ん") + 1) if chr(code) not in "ゎゐゑ"]
_WORDS = 20_000


class Kana(Family):
    """The operand is a hiragana word of 2 to 6 characters: a random sequence, mostly no word of the language,
    so that nothing can be answered from memory. Katakana are jaconv's."""

    name = "kana"
    directions = ("to_katakana", "to_hiragana")
    max_tokens = 12

    def operands(self, rng: Random) -> list[str]:
        return list(dict.fromkeys("".join(rng.choices(_HIRAGANA, k=rng.randint(2, 6))) for _ in range(_WORDS)))

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        katakana = jaconv.hira2kata(operand)
        question, answer = (operand, katakana) if direction == "to_katakana" else (katakana, operand)
        return Problem({"x": question}, answer)
