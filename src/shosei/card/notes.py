"""Sentences that a process, or the reader of the log, left in English, as the card's own texts of all languages.

The log holds them as they were printed, so that it can be read without this program. Each is told by its fixed words:
the English of ``[note]`` and ``[warning]`` in the language files is the pattern.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from functools import cache

from shosei.card.words import texts
from shosei.metrics.metric import Text, Words

_SECTIONS = ("note.", "warning.")


@dataclass(frozen=True, slots=True)
class _Sentence:
    """One of our sentences. ``longest``: its longest fixed words, without which no pattern need be tried."""

    key: str
    pattern: re.Pattern[str]
    fixed: int
    longest: str

    @classmethod
    def of(cls, key: str, words: str) -> _Sentence:
        parts = [(fixed, name) for fixed, name, _, _ in string.Formatter().parse(words)]
        pattern = "".join(re.escape(fixed) + (f"(?P<{name}>.+?)" if name else "") for fixed, name in parts)
        pieces = [fixed for fixed, _ in parts]
        return cls(key, re.compile(pattern, re.DOTALL), sum(map(len, pieces)), max(pieces, key=len))


def recognised(sentence: str) -> Words:
    """The card's own text for an English ``sentence`` of ours; one that it does not know is foreign and stays."""
    for ours in _sentences():
        if ours.longest in sentence and (match := ours.pattern.fullmatch(sentence)):
            return Text(ours.key, dict(match.groupdict()))
    return sentence


@cache
def _sentences() -> list[_Sentence]:
    """Those with most fixed words first: one sentence may begin as another does."""
    ours = [_Sentence.of(key, words) for key, words in texts("en").items() if key.startswith(_SECTIONS)]
    return sorted(ours, key=lambda sentence: -sentence.fixed)
