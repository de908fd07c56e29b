"""One text in two forms, both ways: digits and numerals, hiragana and katakana, half width and full width."""

from __future__ import annotations

import string
from abc import abstractmethod
from random import Random

import cn2an
import jaconv
from kanjize import number2kanji

from shosei.data.families.family import Family, Problem

_HIRAGANA = [chr(code) for code in range(ord("ぁ"), ord("ん") + 1) if chr(code) not in "ゎゐゑ"]
_HALF_WIDTH = string.ascii_uppercase + string.digits + "#%&*-/@"
_WORDS = 20_000


class Conversion(Family):
    """The operand is one of the forms; the first direction asks for the other one, the second for the operand."""

    max_tokens = 12

    @abstractmethod
    def converted(self, operand: str, lang: str) -> str:
        """The operand's other form, as a library gives it."""

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        forms = operand, self.converted(operand, lang)
        question, answer = forms if direction == self.directions[0] else reversed(forms)
        return Problem({"x": question}, answer)


class Numerals(Conversion):
    """The operand is a number from 0 to 9,999. Chinese numerals are cn2an's, Japanese ones kanjize's."""

    name = "numerals"
    directions = ("to_kanji", "to_digits")

    def operands(self, rng: Random) -> list[str]:
        return [str(number) for number in range(10_000)]

    def converted(self, operand: str, lang: str) -> str:
        return in_words(int(operand), lang)


class Kana(Conversion):
    """The operand is a hiragana word of 2 to 6 characters: a random sequence, mostly no word of the language,
    so that nothing can be answered from memory. Katakana are jaconv's."""

    name = "kana"
    directions = ("to_katakana", "to_hiragana")

    def operands(self, rng: Random) -> list[str]:
        return _words(_HIRAGANA, rng)

    def converted(self, operand: str, lang: str) -> str:
        katakana: str = jaconv.hira2kata(operand)
        return katakana


class Width(Conversion):
    """The operand is a half-width code of 2 to 6 capitals, digits and signs. Full-width forms are jaconv's."""

    name = "width"
    directions = ("to_full", "to_half")

    def operands(self, rng: Random) -> list[str]:
        return _words(_HALF_WIDTH, rng)

    def converted(self, operand: str, lang: str) -> str:
        full: str = jaconv.h2z(operand, kana=False, ascii=True, digit=True)
        return full


def in_words(number: int, lang: str) -> str:
    """``number`` in Chinese or Japanese numerals."""
    words: str = cn2an.an2cn(number, "low") if lang == "zh" else number2kanji(number)
    return words


def _words(characters: str | list[str], rng: Random) -> list[str]:
    return list(dict.fromkeys("".join(rng.choices(characters, k=rng.randint(2, 6))) for _ in range(_WORDS)))
