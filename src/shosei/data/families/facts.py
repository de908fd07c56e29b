"""The currency and the official language of a country or territory, as the Unicode CLDR has them."""

from __future__ import annotations

from datetime import date
from random import Random

from babel import Locale
from babel.core import get_global
from babel.languages import get_official_languages
from babel.numbers import get_territory_currencies

from shosei.data.families.family import LANGUAGES, Family, Problem

# Babel asks the clock unless it is given a day.
_DAY = date(2025, 1, 1)


class Facts(Family):
    """The operand is a territory's code. Only territories with one currency and one official language are asked for,
    and only those whose names CLDR has in both languages."""

    name = "facts"
    directions = ("currency", "language")
    max_tokens = 24

    def operands(self, rng: Random) -> list[str]:
        return sorted(code for code in get_global("territory_currencies") if _is_plain(code))

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        names = Locale(lang)
        if direction == "currency":
            answer = names.currencies[_currencies(operand)[0]]
        else:
            answer = names.languages[_languages(operand)[0]]
        return Problem({"x": names.territories[operand]}, answer)


def _is_plain(code: str) -> bool:
    currencies, languages = _currencies(code), _languages(code)
    return (
        len(currencies) == len(languages) == 1
        and all(code in Locale(lang).territories for lang in LANGUAGES)
        and all(currencies[0] in Locale(lang).currencies for lang in LANGUAGES)
        and all(languages[0] in Locale(lang).languages for lang in LANGUAGES)
    )


def _currencies(code: str) -> list[str]:
    return list(get_territory_currencies(code, start_date=_DAY, end_date=_DAY))


def _languages(code: str) -> list[str]:
    return list(get_official_languages(code))
