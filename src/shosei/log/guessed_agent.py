"""The name of an agent that named itself nowhere, and is told by what its requests have in common."""

from __future__ import annotations

import re
from typing import NamedTuple

GUESSED = "prompt"  # the attribution of a call whose agent has such a name
_NAME = re.compile(r"(.*) #([0-9a-f]{4})\.([0-9a-f]{4})", re.DOTALL)


class GuessedAgent(NamedTuple):
    """As a log has it: ``You are a translator. #a1b2.c3d4``."""

    words: str  # for people: the first of its system text, or its tools
    beginning: str  # four hex digits: of the tools' names and how its system text begins
    whole: str  # and of all of that text

    def __str__(self) -> str:
        return f"{self.words} #{self.beginning}.{self.whole}"

    @classmethod
    def of(cls, name: str) -> GuessedAgent:
        """Out of a log. A name that is not made so is all words."""
        match = _NAME.fullmatch(name)
        return cls(*match.groups()) if match else cls(name, "", "")
