"""The day some days before or after a day of another month: one call of a calendar."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from shosei.data.families.family import Call, Family, Problem

_FIRST, _DAYS = date(2000, 1, 1), 36_524  # up to 2099
_DISTANCE = range(20, 100)
_PAIRS = 12_000


class Dates(Family):
    """The operand is a day and a number of days, such as ``2026-03-28 45``; both directions leave the month."""

    name = "dates"
    directions = ("after", "before")
    max_tokens = 48
    skill = "calendar"

    def operands(self, rng: Random) -> list[str]:
        drawn = ((_FIRST + timedelta(rng.randrange(_DAYS)), rng.choice(_DISTANCE)) for _ in range(_PAIRS))
        return list(dict.fromkeys(f"{day} {days}" for day, days in drawn if _leaves_month(day, days)))

    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        start, distance = operand.split()
        days = int(distance) if direction == "after" else -int(distance)
        asked = date.fromisoformat(start)
        answer = _written(asked + timedelta(days))
        call = Call("calendar", {"date": _written(asked), "days": days}, answer)
        return Problem({"x": _written(asked), "n": distance}, answer, calls=[call])


def _leaves_month(day: date, days: int) -> bool:
    return all((day + timedelta(sign * days)).month != day.month for sign in (1, -1))


def _written(day: date) -> str:
    """As both languages write it."""
    return f"{day.year}年{day.month}月{day.day}日"
