"""The families of questions that can be generated and checked: one class each, behind one interface."""

from shosei.data.families.arithmetic import Mixed, Products, Sums
from shosei.data.families.conversions import Kana, Numerals, Width
from shosei.data.families.dates import Dates
from shosei.data.families.facts import Facts
from shosei.data.families.family import LANGUAGES, Call, Family, Problem
from shosei.data.families.functions import Functions

FAMILIES: dict[str, Family] = {
    family.name: family for family in (Numerals(), Kana(), Width(), Sums(), Facts(), Functions())
}

# Of more than one step: answered with tools, by a system of agents.
TOOL_FAMILIES: dict[str, Family] = {family.name: family for family in (Products(), Dates(), Mixed())}

__all__ = ["FAMILIES", "LANGUAGES", "TOOL_FAMILIES", "Call", "Family", "Problem"]
