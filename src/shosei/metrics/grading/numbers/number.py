"""The numbers in a text, with their exact values and where they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from shosei.metrics.grading.numbers import forms, numerals

_MOST_EXPONENT = 400
_SCALES = {"hundred": 100, "thousand": 1000, "k": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_DOZEN = 12


class Weight(IntEnum):
    """How likely a number is to be what its sentence is about."""

    ASIDE = 0  # a label, a date, a given quantity (the 2 houses), an article (一个)
    WORD = 1  # a word of one digit (三个, seven), what the sentence begins from (3年後には)
    NUMBER = 2


class Number(NamedTuple):
    """A number in a text.

    ``value`` is None where what stands there has not one value: a range, a list, a bound, a sum that was not
    worked out, a date.
    ``printed`` is the number before a percent sign or "dozen".
    """

    value: Fraction | None
    start: int
    end: int
    weight: Weight = Weight.NUMBER
    printed: Fraction | None = None


@lru_cache(maxsize=64)
def numbers(text: str, japanese: bool = False) -> tuple[Number, ...]:
    """The numbers of a text that ``markup.plain`` made, in their order.

    Neighbours that a sign joins (3-5, 3 + 5, 3か5, 3元5角) are one number without a value. A number that the text
    denies (不是20, 10ではなく) is left out. ``japanese``, or kana in the text: 三百五 is 305, not 350.
    """
    each = list(_each(text, japanese or bool(forms.KANA.search(text))))
    asides = [number for number in each if number.weight == Weight.ASIDE]
    joined = _joined(text, (number for number in each if number.weight > Weight.ASIDE))
    return tuple(sorted([*joined, *asides], key=lambda number: number.start))


def _each(text: str, japanese: bool) -> Iterator[Number]:
    position = last = 0  # where to go on; where the number before ends
    while match := forms.NUMBER.search(text, position):
        position = match.end()
        if match["idiom"] or match["name"]:
            continue
        if match["date"] or match["time"] or match["label"]:
            yield _aside(match, japanese)
        elif number := _number(text, match, japanese, last):
            last = position = number.end
            if not _denied(text, number):
                yield number


def _aside(match: re.Match[str], japanese: bool) -> Number:
    """第3 and 3rd have the value 3; a date or a time has none."""
    label = match["nth"] or match["ordinal"] or match["labelled"]
    return Number(numerals.han(label, japanese) if label else None, *match.span(), Weight.ASIDE)


def _number(text: str, match: re.Match[str], japanese: bool, last: int) -> Number | None:
    kind = next(kind for kind in _VALUES if match[kind])
    value = _VALUES[kind](match, japanese)
    sign, start = _sign(text, match, last)
    if value is None:
        return None if len(match[kind]) == 1 else Number(None, start, match.end())
    percent = value * 100 if match["below"] == "百" else None
    value, end, printed = _with_suffix(text, value, match.end(), percent)
    if match["currency"] and (scale := forms.MONEY_SCALE.match(text, end)):
        value *= _SCALES["million" if scale[0] == "m" else "billion"]
    if sign in ("±", "√") or _inexact(text, start, end) or _in_expression(text, start, end):
        return Number(None, start, end)
    if bool(match["inner"]) != (sign not in ("", "+")):
        value, printed = -value, printed and -printed
    return Number(value, start, end, _weight(text, start, end, match[kind], kind), printed)


def _sign(text: str, match: re.Match[str], last: int) -> tuple[str, int]:
    """The sign of a number, and where the number begins: a minus may also join it to what is before."""
    written = match["sign"] or ""
    sign, start = written.strip(), match.start()
    if sign not in ("-", "+"):
        return sign, start
    before = text[max(0, start - 1) : start]
    joins = before.isascii() and (before.isalnum() or before in (")", "]"))
    apart = written != sign and text[:start].rstrip()[-1:] not in ("", "=", ":", "(", "⟦", "≈")
    if joins or apart or (last and forms.BEFORE_OPERATOR.fullmatch(text, last, start)):
        return "", start + len(written)
    return sign, start


def _with_suffix(
    text: str, value: Fraction, end: int, printed: Fraction | None
) -> tuple[Fraction, int, Fraction | None]:
    """Value, end and printed number with what follows and is a part of it: %, 割, million, 半."""
    if scale := forms.SCALE.match(text, end):
        word, end = scale[1] or scale[2], scale.end()
        printed = value if word == "dozen" else printed
        value *= _SCALES.get(word, _DOZEN)
    if half := forms.AND_A_HALF.match(text, end):
        value, end = value + Fraction(1, 2), half.end()
    elif (part := forms.AND_PARTS.match(text, end)) and (parts := numerals.english(part[1])):
        value, end = value + parts, part.end()
    if tenths := forms.TENTHS_OF_MONEY.match(text, end):
        value, end = value + (numerals.han(tenths[1]) or Fraction(0)) / 10, tenths.end()
    if percent := forms.PERCENT.match(text, end):
        return value / 100, percent.end(), value
    if mille := forms.PER_MILLE.match(text, end):
        return value / 1000, mille.end(), printed
    if tenths := forms.TENTHS.match(text, end):
        hundredths, thousandths = (numerals.han(digit or "〇") or 0 for digit in tenths.groups())
        return value / 10 + Fraction(hundredths, 100) + Fraction(thousandths, 1000), tenths.end(), None
    return value, end, printed


def _inexact(text: str, start: int, end: int) -> bool:
    """30多, 几百; and what is only a bound: more than 10, 10個以上."""
    before = text[max(0, start - 20) : start]
    after = forms.ESTIMATE.match(text, end) or forms.BOUND_AFTER.match(text, end)
    return bool(after or forms.BOUND.search(before)) or before[-1:] in tuple(forms.ESTIMATE_BEFORE)


def _in_expression(text: str, start: int, end: int) -> bool:
    return bool(forms.FACTOR.match(text, end) or forms.FUNCTION.search(text[max(0, start - 16) : start]))


def _weight(text: str, start: int, end: int, digits: str, kind: str) -> Weight:
    if forms.GIVEN.search(text[max(0, start - 8) : start]) or forms.GIVEN_AFTER.match(text, end):
        return Weight.ASIDE
    if digits in ("一", "one", "ひとつ", "ひとり") or kind in ("half_alone", "both"):
        return Weight.ASIDE
    if forms.SETTING.search(text[max(0, start - 12) : start]) or forms.SETTING_AFTER.match(text, end):
        return Weight.WORD
    one_word = digits.isalpha() if kind in ("english", "kana") else len(digits) == 1 and not digits.isdecimal()
    return Weight.WORD if one_word else Weight.NUMBER


def _denied(text: str, number: Number) -> bool:
    before = text[max(0, number.start - 12) : number.start]
    return bool(forms.DENIED.search(before) or forms.DENIED_AFTER.match(text, number.end))


def _joined(text: str, each: Iterable[Number]) -> Iterator[Number]:
    """Neighbours with nothing but an operator, a list's comma or a unit between them become one without a value."""
    held: Number | None = None
    for number in each:
        if held and (joint := forms.JOINED.fullmatch(text, held.end, number.start)):
            restated = joint["listed"] and held.value == number.value
            held = held._replace(value=held.value if restated else None, end=number.end)
            continue
        if held:
            yield held
        held = number
    if held:
        yield held


def _scientific(match: re.Match[str], japanese: bool) -> Fraction | None:
    mantissa, _, power = match["scientific"].replace(" ", "").replace("×10^", "e").rpartition("e")
    if not mantissa:
        mantissa, power = "1", power.removeprefix("10^")
    value = numerals.arabic(mantissa)
    return None if value is None or abs(int(power[:6])) > _MOST_EXPONENT else value * Fraction(10) ** int(power)


def _fraction(match: re.Match[str], japanese: bool) -> Fraction | None:
    """3/4, and 1 3/4."""
    above, _, below = match["fraction"].partition("/")
    whole, _, above = re.sub(r"又|と| and ", " ", above.strip()).rpartition(" ")
    if whole and len(above) == 3:  # thousands that a space sets apart
        whole, above = "", whole + above
    values = numerals.arabic(whole or "0"), numerals.arabic(above), numerals.arabic(below.strip())
    if values[0] is None or values[1] is None or not values[2]:
        return None
    return values[0] + values[1] / values[2]


def _parts(match: re.Match[str], japanese: bool) -> Fraction | None:
    """三分之二, 百分之五, 3分の2, 一又三分之二."""
    unit = match["below"] in "百千万"
    below = numerals.han("一" * unit + match["below"], japanese)
    above, whole = numerals.han(match["above"], japanese), numerals.han(match["whole"] or "0", japanese)
    return None if above is None or whole is None or not below else whole + above / below


_VALUES: dict[str, Callable[[re.Match[str], bool], Fraction | None]] = {
    "plain": lambda match, japanese: numerals.han(match["plain"], japanese),
    "scientific": _scientific,
    "power": lambda match, japanese: None,
    "fraction": _fraction,
    "parts": _parts,
    "half": lambda match, japanese: Fraction(1) if match["half"] == "百分百" else Fraction(1, 2),
    "half_alone": lambda match, japanese: Fraction(1, 2),
    "kana": lambda match, japanese: Fraction(numerals.KANA_WORDS[match["kana"]]),
    "both": lambda match, japanese: Fraction(2),
    "english": lambda match, japanese: numerals.english(match["english"]),
}
