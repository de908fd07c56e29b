"""The agents' tools, against the libraries and the calendar that know better."""

from __future__ import annotations

import datetime
import random
from fractions import Fraction

import cn2an
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kanjize import number2kanji

from shosei.agents import tools
from shosei.agents.prompts import SKILLS
from shosei.agents.tools.numerals import read
from walls import needs_wall


def test_numerals_are_those_of_the_libraries() -> None:
    draw = random.Random(5)
    numbers = [*range(3000), *(draw.randrange(10**8) for _ in range(2000))]
    for number in numbers:
        chinese, japanese = cn2an.an2cn(number, "low"), number2kanji(number)
        assert tools.numerals(str(number), "zh") == chinese
        assert tools.numerals(str(number), "ja") == japanese
        assert tools.numerals(chinese, "ja") == japanese
        assert tools.numerals(japanese, "digits") == str(number)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("二〇二六", 2026),
        ("两百零五", 205),
        ("１２，３４５", 12345),
        ("三億五千万", 350_000_000),
        ("十", 10),
        ("零", 0),
    ],
)
def test_a_number_is_read_as_it_is_written(written: str, value: int) -> None:
    assert read(written) == value


@given(st.integers(-9999, 9999), st.integers(1, 9999), st.sampled_from("+-*/"))
def test_arithmetic_is_exact(left: int, right: int, sign: str) -> None:
    exact = {"+": left + right, "-": left - right, "*": left * right, "/": Fraction(left, right)}[sign]
    found = tools.calculator(f"{left} {sign} {right}")
    assert abs(Fraction(found) - exact) <= abs(exact) * Fraction(1, 10**11)
    if exact == int(exact):
        assert found == str(int(exact))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("三百四十五×六百七十八", "233910"),
        ("(1+2)*3 - 4", "5"),
        ("0.1+0.2", "0.3"),
        ("２＋３", "5"),
        ("1,000*2", "2000"),
        ("7//2", "3"),
        ("7%4", "3"),
        ("2^10", "1024"),
        ("-三万÷4", "-7500"),
        ("1/3", "0.333333333333"),
    ],
)
def test_expressions(expression: str, value: str) -> None:
    assert tools.calculator(expression) == value


@given(st.dates(), st.integers(-40_000, 40_000))
def test_days_are_those_of_the_calendar(day: datetime.date, days: int) -> None:
    try:
        later = day + datetime.timedelta(days)
    except OverflowError:
        assert tools.calendar(day.isoformat(), days).startswith("Error")
        return
    assert tools.calendar(day.isoformat(), days) == later.isoformat()
    assert (
        tools.calendar(f"{day.year}年{day.month}月{day.day}日", days) == f"{later.year}年{later.month}月{later.day}日"
    )
    assert tools.days_between(day.isoformat(), later.isoformat()) == str(days)
    assert f"{'月火水木金土日'[day.weekday()]}曜日 {_english(day)}" in tools.weekday(day.isoformat())


def _english(day: datetime.date) -> str:
    return ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[day.isoweekday() - 1]


@pytest.mark.parametrize(
    ("quantity", "unit", "result"),
    [
        ("3公里", "米", "3000米"),
        ("20℃", "℉", "68℉"),
        ("2.5 km", "マイル", "1.55342798059マイル"),
        ("三千克", "斤", "6斤"),
        ("1坪", "平方メートル", "3.30578512397平方メートル"),
        ("90分", "時間", "1.5時間"),
        ("1 lb", "g", "453.59237g"),
    ],
)
def test_units(quantity: str, unit: str, result: str) -> None:
    assert tools.convert(quantity, unit) == result


@pytest.mark.parametrize(
    "result",
    [
        tools.calculator("1/0"),
        tools.calculator("__import__('os')"),
        tools.calculator("9**9**9"),
        tools.calculator(""),
        tools.calculator("(" * 400),
        tools.calculator("1" * 501),
        tools.numerals("many", "zh"),
        tools.numerals("5", "fr"),
        tools.numerals("1" * 13, "ja"),
        tools.calendar("2026-02-30", 1),
        tools.calendar("soon", 1),
        tools.weekday("明日"),
        tools.convert("3km", "kg"),
        tools.convert("3", "m"),
        tools.convert("3ell", "m"),
    ],
)
def test_what_a_tool_cannot_do_it_says(result: str) -> None:
    assert result.startswith("Error: ")
    assert "\n" not in result


@pytest.mark.system
@needs_wall
def test_programs_run_behind_a_wall() -> None:
    assert tools.python("print('書生', 6 * 7)") == "書生 42"
    assert tools.python("print(1 / 0)") == "Error: ZeroDivisionError: division by zero"
    assert tools.python("import socket; socket.socket()").startswith("Error: ")
    assert tools.python(f"print(open({__file__!r}).read())").startswith("Error: ")


def test_what_tools_say_of_themselves_is_short() -> None:
    for name in {name for names in SKILLS.values() for name in names}:
        tool = getattr(tools, name)
        assert len((tool.__doc__ or "").split()) <= 8
