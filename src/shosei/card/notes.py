"""Sentences that a process, or the reader of the log, left in English, as the card's own texts of all languages.

The log holds them as they were printed, so that it can be read without this program. Each is told by its fixed words:
the English of ``[note]`` and ``[warning]`` in the language files is the pattern.
"""

from __future__ import annotations

import re
import string
from functools import cache

from shosei.card.words import texts
from shosei.metrics.metric import Text, Words

_SECTIONS = ("note.", "warning.")


def recognised(sentence: str) -> Words:
    """The card's own text for an English ``sentence`` of ours; one that it does not know is foreign and stays."""
    for key, pattern in _patterns():
        if match := pattern.fullmatch(sentence):
            return Text(key, dict(match.groupdict()))
    return sentence


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Those with most fixed words first: one sentence may begin as another does."""
    english = {key: words for key, words in texts("en").items() if key.startswith(_SECTIONS)}
    longest_first = sorted(english.items(), key=lambda entry: -len(re.sub(r"{\w+}", "", entry[1])))
    return [(key, _pattern(words)) for key, words in longest_first]


def _pattern(words: str) -> re.Pattern[str]:
    pieces = [
        re.escape(fixed) + (f"(?P<{name}>.+?)" if name else "") for fixed, name, _, _ in string.Formatter().parse(words)
    ]
    return re.compile("".join(pieces), re.DOTALL)
