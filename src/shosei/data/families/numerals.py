"""Chinese and Japanese numerals and digits, 0 to 9,999, both ways."""

from __future__ import annotations

from random import Random

import cn2an
from kanjize import number2kanji

from shosei.data.families.family import Family, Problem


class Numerals(Family):
    """The operand is the number. Chinese numerals are cn2an's, Japanese ones kanjize's."""

    name = "numerals"
    directions = ("to_kanji", "to_digits")
    max_tokens = 12

    def operands(self, rng: Random) -> list[str]:
        return [str(number) for number in range(10_000)]

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        kanji = in_words(int(operand), lang)
        question, answer = (operand, kanji) if direction == "to_kanji" else (kanji, operand)
        return Problem({"x": question}, answer)


def in_words(number: int, lang: str) -> str:
    """``number`` in Chinese or Japanese numerals."""
    words: str = cn2an.an2cn(number, "low") if lang == "zh" else number2kanji(number)
    return words
