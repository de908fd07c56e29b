"""Days of the Gregorian calendar, as 2026-03-28 or 2026年3月28日; a date comes back in the form it came in."""

from __future__ import annotations

import re
import unicodedata
from datetime import date as Date
from datetime import timedelta

_DATE = re.compile(r"(\d{1,4})\s*(?:年|-|/|\.)\s*(\d{1,2})\s*(?:月|-|/|\.)\s*(\d{1,2})\s*[日号號]?")
_WEEKDAYS = (
    "星期一 月曜日 Monday",
    "星期二 火曜日 Tuesday",
    "星期三 水曜日 Wednesday",
    "星期四 木曜日 Thursday",
    "星期五 金曜日 Friday",
    "星期六 土曜日 Saturday",
    "星期日 日曜日 Sunday",
)


def calendar(date: str, days: int) -> str:
    """Adds days to a date."""
    day = _read(date) + timedelta(days)
    return f"{day.year}年{day.month}月{day.day}日" if "年" in date else day.isoformat()


def days_between(start: str, end: str) -> str:
    """Counts days."""
    return str((_read(end) - _read(start)).days)


def weekday(date: str) -> str:
    """Names the weekday."""
    return _WEEKDAYS[_read(date).weekday()]


def _read(text: str) -> Date:
    match = _DATE.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if not match:
        raise ValueError(f"'{text}' is not a date: write it as 2026-03-28 or 2026年3月28日")
    return Date(*map(int, match.groups()))
