"""Choices that stand in columns of their own: A B C …, ア イ ウ …, choice0 choice1 …, option_a option_b …, 選択肢1 …"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SERIES = ("ABCDEFGHIJ", "0123456789", "アイウエオカキク", "甲乙丙丁戊")
_NAME = re.compile(
    r"(?:(?P<word>option|choice|opt|ending|sol|answer|選択肢|选项|選項|选择|選択)[ _-]?)?"
    rf"(?P<mark>[{''.join(_SERIES)}])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ChoiceColumns:
    """Their names in the table, filled ones only, and the labels that the names give them, if they do."""

    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def choice_columns(columns: Mapping[str, Any]) -> ChoiceColumns:
    """The first series of two or more; none if there is none.

    Of names that count from 0, the numbers are labels; from 1, they may be, since answers often count from 0.
    """
    series: dict[tuple[str, int], dict[str, str]] = {}
    for name, value in columns.items():
        named = _NAME.fullmatch(unicodedata.normalize("NFKC", str(name)).strip())
        if not named or value in (None, ""):
            continue
        word, mark = (named["word"] or "").casefold(), named["mark"].upper()
        if word != "answer" or mark.isalpha():  # answer1 and answer2 are right ones
            series.setdefault((word, _series_of(mark)), {})[mark] = name
    for (word, number), names in series.items():
        if len(names) > 1:
            marks = sorted(names, key=_SERIES[number].index)
            has_labels = not word or "1" not in names or "0" in names
            return ChoiceColumns(tuple(names[mark] for mark in marks), tuple(marks) if has_labels else ())
    return ChoiceColumns()


def _series_of(mark: str) -> int:
    return next(number for number, series in enumerate(_SERIES) if mark in series)
