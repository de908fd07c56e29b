"""What agents can call: plain functions of text, which give text and say ``Error: …`` where they cannot."""

from shosei.agents.tools.calculator import calculator
from shosei.agents.tools.calendar import calendar, days_between, weekday
from shosei.agents.tools.numerals import numerals
from shosei.agents.tools.python import python
from shosei.agents.tools.units import convert

__all__ = ["calculator", "calendar", "convert", "days_between", "numerals", "python", "weekday"]
