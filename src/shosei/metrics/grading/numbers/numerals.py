"""Numerals that are words: Han (三百二十一, 二〇二四, 壹佰贰拾叁, 3億5000万) and English (forty-two, one third)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

_FORMS = str.maketrans(
    "零○壹壱贰貳弐叁參参肆伍陆陸柒漆捌玖两両兩拾佰仟萬億",
    "〇〇一一二二二三三三四五六六七七八九二二二十百千万亿",
)
_TENS = {"廿": "二十", "卅": "三十", "卌": "四十"}
_DIGIT = {digit: value for value, digit in enumerate("〇一二三四五六七八九")}
_GREAT = {"京": 10**16, "兆": 10**12, "亿": 10**8, "万": 10**4}
_SMALL = {"千": 1000, "百": 100, "十": 10}
_ARABIC = re.compile(r"\d[\d,' ]*(?:\.\d+)?|\.\d+")
_SCALED = re.compile(r"(\d+\.\d+)([千百十])")
_ONE_DIGIT = r"(\d+|[一二三四五六七八九])?"
_BELOW_MYRIAD = re.compile(rf"〇*(?:{_ONE_DIGIT}千)?〇*(?:{_ONE_DIGIT}百)?〇*(?:{_ONE_DIGIT}十)?〇*{_ONE_DIGIT}")
_SEPARATORS = str.maketrans("", "", ",' ")
_MOST_DIGITS = 300

_TO_NINETEEN = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    "|eighteen|nineteen"
)
_TENS_FROM_TWENTY = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_WORDS = {word: value for value, word in enumerate(_TO_NINETEEN.split("|"))} | {
    word: 10 * value for value, word in enumerate(_TENS_FROM_TWENTY.split("|"), 2)
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8}
_PARTS |= {
    "ninth": 9,
    "tenth": 10,
    "twelfth": 12,
    "sixteenth": 16,
    "twentieth": 20,
    "hundredth": 100,
    "thousandth": 1000,
}
_WORD = "|".join([*_WORDS, *_SCALES])
_PART = rf"[-\ ](?:{'|'.join(_PARTS)}|halve)s?"
ENGLISH = rf"(?:{_WORD})(?:(?:-|\ |\ and\ )(?:{_WORD}))*(?:{_PART})?"  # for re.VERBOSE
AND_PART = rf" and ((?:an?|{_TO_NINETEEN}){_PART})\b"
KANA_WORDS = {"ゼロ": 0, "ひとつ": 1, "ふたつ": 2, "みっつ": 3, "よっつ": 4, "いつつ": 5, "むっつ": 6, "ななつ": 7}
KANA_WORDS |= {"やっつ": 8, "ここのつ": 9, "ひとり": 1, "ふたり": 2}


def arabic(text: str) -> Fraction | None:
    """The value of digits with thousands signs and a decimal point; None beyond 300 characters."""
    if len(text) > _MOST_DIGITS or not _ARABIC.fullmatch(text):
        return None
    digits = text.translate(_SEPARATORS)
    return Fraction(int(digits)) if digits.isdecimal() else Fraction(digits)


def han(text: str, japanese: bool = False) -> Fraction | None:
    """The value of a numeral of Han characters, or of digits with 万, 億 and the like; None if it is not well formed.

    A last digit that skips places (一万五, 三百五) counts the place below in Chinese, 15000, but ones in Japanese.
    Two neighbouring digits (五六) are an estimate and no number.
    """
    if text.isascii():
        return arabic(text)
    text = text.translate(_FORMS).replace(" ", "").replace(",", "")
    for short, long in _TENS.items():
        text = text.replace(short, long)
    if len(text) > _MOST_DIGITS:
        return None
    whole, point, decimals = re.sub(r"[・]", "点", text).partition("点")
    if point:
        return _decimal(whole, decimals)
    return _value(text, japanese or text[:1] in _SMALL)


def _decimal(whole: str, decimals: str) -> Fraction | None:
    """三点一四, and 三点五万."""
    digits = re.fullmatch(r"([〇一二三四五六七八九]+)([千百万亿]?)", decimals)
    value = _value(whole, False)
    if value is None or not digits:
        return None
    fraction = Fraction(int("".join(str(_DIGIT[digit]) for digit in digits[1])), 10 ** len(digits[1]))
    return (value + fraction) * (_GREAT | _SMALL).get(digits[2], 1)


def _value(text: str, japanese: bool) -> Fraction | None:
    """Split at the greatest unit: what is before it multiplies it, what is after it is less than it."""
    for unit, size in _GREAT.items():
        before, found, after = text.rpartition(unit)
        if found:
            many, rest = _value(before, japanese), _rest(after, size, japanese)
            return None if many is None or rest is None else many * size + rest
    return _below_myriad(text, japanese)


def _rest(text: str, size: int, japanese: bool) -> Fraction | None:
    if not text:
        return Fraction(0)
    if len(text) == 1 and not japanese and (_DIGIT.get(text) or text.isdecimal()):
        return Fraction(_count(text)) * (size // 10)
    value = _value(text.lstrip("〇") or "〇", japanese or text[0] == "〇")
    return value if value is not None and value < size else None


def _below_myriad(text: str, japanese: bool) -> Fraction | None:
    if (plain := arabic(text)) is not None:
        return plain
    if scaled := _SCALED.fullmatch(text):
        return Fraction(scaled[1]) * _SMALL[scaled[2]]
    if len(text) > 1 and all(digit in _DIGIT for digit in text):
        return _digit_by_digit(text)
    if not text or not (places := _BELOW_MYRIAD.fullmatch(text)):
        return None
    value, last = Fraction(0), 1
    for count, (place, size) in zip(places.groups(), _SMALL.items(), strict=False):
        if place in text:
            value, last = value + _count(count) * size, size
    ones = places[4]
    if ones is None:
        return value if text[-1] in _SMALL or text == "〇" else None
    skipped = last > 10 and "〇" not in text and len(ones) == 1 and not japanese
    return value + _count(ones) * (last // 10 if skipped else 1)


def _count(text: str | None) -> int:
    return 1 if text is None else _DIGIT[text] if text in _DIGIT else int(text)


def _digit_by_digit(text: str) -> Fraction | None:
    digits = [_DIGIT[digit] for digit in text]
    if len(digits) == 2 and digits[1] == digits[0] + 1:
        return None
    return Fraction(int("".join(map(str, digits))))


def english(text: str) -> Fraction | None:
    """The value of an English numeral in words, perhaps with a fraction (two thirds, one and three quarters).

    None if it is not well formed: the singular of more than one part (twenty third) is an ordinal.
    """
    *words, last = re.split(r"[-\s]+", text)
    size = _PARTS.get("half" if last == "halves" else last.removesuffix("s"))
    if size is None:
        return _english_whole([*words, last])
    end = len(words) - 1 - words[::-1].index("and") if "and" in words else 0  # of the whole number
    count = words[end + 1 :] if end else words
    parts = Fraction(1) if count in (["a"], ["an"]) else _english_whole(count)
    whole = _english_whole(words[:end])
    if parts is None or whole is None or (parts != 1) != last.endswith("s"):
        return None
    return whole + parts / size


def _english_whole(words: Sequence[str]) -> Fraction | None:
    """The value of words that stand in their order; None of others (one and two, nineteen eighty)."""
    total, below = 0, 0
    for word in words:
        if word in _WORDS and _fits(below, _WORDS[word]):
            below += _WORDS[word]
        elif word == "hundred" and below < 100:
            below = (below or 1) * 100
        elif word in _SCALES and word != "hundred":
            total, below = total + (below or 1) * _SCALES[word], 0
        elif word != "and" or below % 100 or not (total or below):
            return None
    return Fraction(total + below)


def _fits(below: int, value: int) -> bool:
    """Whether the place of ``value`` is free: five after twenty or a hundred, not after ten or two."""
    return below % 100 == 0 if value >= 10 else below % 10 == 0 and below % 100 != 10
