"""Chinese and Japanese numerals: read either, write both. Whole numbers below 10^12."""

from __future__ import annotations

import re
import unicodedata

_DIGITS = {character: value for value, character in enumerate("〇一二三四五六七八九")} | {"零": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_LIMIT = 10**12

KANJI = re.compile(f"[{''.join([*_DIGITS, *_UNITS, *_MYRIADS])}]+")


def numerals(number: str, language: str) -> str:
    """Writes a number in zh, ja or digits."""
    value = read(number)
    match language:
        case "zh":
            return chinese(value)
        case "ja":
            return japanese(value)
        case "digits":
            return str(value)
    raise ValueError(f"language '{language}': choose zh, ja or digits")


def read(text: str) -> int:
    """The whole number that ``text`` is, in digits or numerals. Raises ValueError."""
    plain = unicodedata.normalize("NFKC", text).strip().replace(",", "")
    if plain.isascii() and plain.isdecimal():
        return int(plain)
    if not KANJI.fullmatch(plain):
        raise ValueError(f"'{text}' is not a whole number")
    if all(character in _DIGITS for character in plain):  # 二〇二六, as years are written
        return int("".join(str(_DIGITS[character]) for character in plain))
    total = group = 0
    digit: int | None = None
    for character in plain:
        if character in _DIGITS:
            digit = _DIGITS[character]
        elif character in _UNITS:
            group += (digit if digit is not None else 1) * _UNITS[character]
            digit = None
        else:
            total += (group + (digit or 0)) * _MYRIADS[character]
            group, digit = 0, None
    return total + group + (digit or 0)


def chinese(value: int) -> str:
    """``value`` as it is said in Chinese: 10110 is 一万零一百一十."""
    words = ""
    for group, unit in _groups(value, ("", "万", "亿")):
        gap = words and (group < 1000 or words.endswith("零"))
        if group:
            words = f"{words.removesuffix('零')}{'零' if gap else ''}{_chinese_group(group)}{unit}"
        elif words and not words.endswith("零"):
            words += "零"
    words = words.removesuffix("零") or "零"
    return words.removeprefix("一") if words.startswith("一十") else words


def japanese(value: int) -> str:
    """``value`` as it is said in Japanese: 10110 is 一万百十."""
    groups = _groups(value, ("", "万", "億"))
    return "".join(f"{_japanese_group(group)}{unit}" for group, unit in groups if group) or "零"


def _groups(value: int, units: tuple[str, ...]) -> list[tuple[int, str]]:
    """Four digits each with its unit, the highest first; without the empty ones before it."""
    if not 0 <= value < _LIMIT:
        raise ValueError("only whole numbers from 0 to 999999999999")
    count = max(1, -(-len(str(value)) // 4))
    return [(value // 10 ** (4 * place) % 10**4, units[place]) for place in reversed(range(count))]


def _chinese_group(group: int) -> str:
    words = ""
    for unit, size in (("千", 1000), ("百", 100), ("十", 10), ("", 1)):
        digit = group // size % 10
        if digit:
            words += f"{'〇一二三四五六七八九'[digit]}{unit}"
        elif words and group % size and not words.endswith("零"):
            words += "零"
    return words


def _japanese_group(group: int) -> str:
    words = ""
    for unit, size in (("千", 1000), ("百", 100), ("十", 10), ("", 1)):
        if digit := group // size % 10:
            words += f"{'' if digit == 1 and unit else '〇一二三四五六七八九'[digit]}{unit}"
    return words
