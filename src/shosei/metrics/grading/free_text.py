"""Free-text answers against their references: overlap of characters and words, whatever their width and punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# A number with its sign and decimal point, a word of an alphabet, or one character of a script from U+2E80 on, where
# the Han characters and kana begin. Punctuation and symbols match nothing.
_TOKEN = re.compile(r"(?:(?<!\w)-)?\d+(?:\.\d+)*|[^\W\d_\u2e80-\U0010ffff][^\W_\u2e80-\U0010ffff]*|[^\W_]")


class Overlap(NamedTuple):
    """How far an answer and a reference share their tokens; each from 0 to 1."""

    precision: float
    recall: float
    f1: float


def tokens(text: str) -> list[str]:
    """What an answer is compared by: Chinese and Japanese a character each, words of alphabets and numbers whole.

    NFKC and case folding make width and case one, and punctuation is left out, but for the sign and the point of a
    number. A text of nothing but punctuation and symbols is its characters.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).replace("\u2212", "-")
    return _TOKEN.findall(_THOUSANDS.sub("", text)) or list("".join(text.split()))


def overlap(answer: str, reference: str) -> Overlap:
    """Shared tokens, counted as often as both have them, over the answer's, the reference's, and the mean of both.

    The definition of SQuAD (Rajpurkar et al. 2016) on the tokens of CMRC 2018 (Cui et al. 2019). Two empty texts agree.
    """
    said, wanted = tokens(answer), tokens(reference)
    if not said or not wanted:
        return Overlap(*[float(said == wanted)] * 3)
    common = (Counter(said) & Counter(wanted)).total()
    return Overlap(common / len(said), common / len(wanted), 2 * common / (len(said) + len(wanted)))


def best_overlap(answer: str, references: Sequence[str]) -> Overlap:
    """The overlap with the reference of the highest F1."""
    return max((overlap(answer, reference) for reference in references), key=lambda found: (found.f1, found))


def exact_match(answer: str, references: Sequence[str]) -> bool:
    """Whether the answer has the tokens of one of the references, in their order."""
    said = tokens(answer)
    return any(said == tokens(reference) for reference in references)
