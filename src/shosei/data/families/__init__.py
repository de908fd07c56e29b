"""The families of questions that can be generated and checked: one class each, behind one interface."""

from shosei.data.families.facts import Facts
from shosei.data.families.family import LANGUAGES, Family, Problem
from shosei.data.families.functions import Functions
from shosei.data.families.kana import Kana
from shosei.data.families.numerals import Numerals
from shosei.data.families.sums import Sums
from shosei.data.families.width import Width

FAMILIES: dict[str, Family] = {
    family.name: family for family in (Numerals(), Kana(), Width(), Sums(), Facts(), Functions())
}

__all__ = ["FAMILIES", "LANGUAGES", "Family", "Problem"]
