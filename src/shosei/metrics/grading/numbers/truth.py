"""The number that is right."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from shosei.metrics.grading.numbers.final import lone_number
from shosei.metrics.grading.numbers.markup import plain
from shosei.metrics.grading.numbers.number import Number, Weight, numbers

_SHOWN = 60  # characters of a truth in an error


def equals_truth(number: Number, truth: str, japanese: bool = False) -> bool:
    """Whether a number is that of the truth, exactly; none is that of a truth which is not one number.

    Where only one of the two has a percent sign, it may have been left out of the other: 25 % is 0.25, and 25. So may
    "dozen".
    """
    try:
        return _equal(number, _known(truth, japanese))
    except ValueError:
        return False


def true_number(truth: str, japanese: bool = False) -> Number:
    """The number that a truth is: one, perhaps with its unit, and nothing else; or such a one after the last ``####``.

    Raises ValueError that says what is wrong.
    """
    text = plain(truth).rpartition("####")[2].strip()
    number = lone_number(text, japanese)
    if number and number.value is not None and not any(map(str.isalnum, text[: number.start])):
        return number
    many = any(each.weight > Weight.ASIDE for each in numbers(text, japanese))
    raise ValueError(f"'{truth[-_SHOWN:]}' is not {'one number alone' if many else 'a number'}")


_known = lru_cache(maxsize=4096)(true_number)


def truth_text(number: Number) -> str:
    """A truth in its shortest form, which ``true_number`` reads as the same number: 1072, 1/3, 12.5%, 2 dozen."""
    if number.printed is None or number.value is None:
        return written(number.value or Fraction(0))
    return written(number.printed) + (" dozen" if abs(number.value) > abs(number.printed) else "%")


def written(value: Fraction) -> str:
    """An exact value as a decimal, or as a fraction where it has no finite decimal."""
    places, scaled = 0, value
    while scaled.denominator % 2 == 0 or scaled.denominator % 5 == 0:
        places, scaled = places + 1, scaled * 10
    if not places or scaled.denominator > 1:
        return str(value)
    digits = str(abs(scaled.numerator)).zfill(places + 1)
    return f"{'-' * (value < 0)}{digits[:-places]}.{digits[-places:]}"


def _equal(left: Number, right: Number) -> bool:
    if left.value == right.value:
        return True
    if (left.printed is None) == (right.printed is None):
        return False
    printed, other = (left.printed, right.value) if right.printed is None else (right.printed, left.value)
    return printed is not None and printed == other and abs(printed) >= 1
