"""What every family of questions has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

LANGUAGES = ("zh", "ja")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool's name, the arguments it is called with, and what it returns."""

    tool: str
    arguments: dict[str, str | int]
    result: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One question before it is phrased, and its truth.

    ``slots`` fill the phrasing's braces. ``tests`` are ``(arguments, expected)``, where the answer is a program that
    defines ``entry_point``. ``calls`` lead to the answer, one after the other, where tools are needed.
    """

    slots: dict[str, str]
    answer: str
    entry_point: str = ""
    tests: list[tuple[list[Any], Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


class Family(ABC):
    """Questions of one kind about an operand, asked in either language and in one or more directions."""

    name: ClassVar[str]
    directions: ClassVar[tuple[str, ...]]
    grader: ClassVar[str] = "exact"
    max_tokens: ClassVar[int]
    shares_split_of: ClassVar[str] = ""  # another family, whose clusters are the same
    skill: ClassVar[str] = ""  # of the specialist whose tools are needed, if any are

    @abstractmethod
    def operands(self, rng: Random) -> list[str]:
        """Every operand, without duplicates, in a fixed order; a random choice where there are too many."""

    def cluster(self, operand: str) -> str:
        """What is held out as a whole: operands of one cluster are never on both sides of a split."""
        return operand

    @abstractmethod
    def problem(self, operand: str, lang: str, direction: str) -> Problem:
        """The question about ``operand``, with the answer that a library or arithmetic gives."""
