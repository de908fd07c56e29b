"""Free text by the rule of the benchmark CMRC 2018 (Cui et al. 2019), as its evaluation defines it.

F1 counts the longest run of tokens that answer and reference both have without a gap, and exact match compares the
characters that are left without the benchmark's punctuation. Neither width nor NFKC is made alike, and of the white
space only that at the ends is left out of exact match.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shosei.metrics.grading.free_text import Overlap

# The benchmark's list, but for its ellipsis of two characters, which no single character equals.
_PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
# A Han character of the benchmark's range; of the rest numbers and words, and every other character alone, as the
# Treebank tokenizer that the benchmark calls divides plain text.
_HAN = "\u4e00-\u9fa5"
_TOKEN = re.compile(rf"(?:(?![{_HAN}])\w)(?:(?![{_HAN}])\w|[.,](?=\d)|\.(?=[a-z]))*|\S")


def tokens(text: str) -> list[str]:
    """Lower-cased, without the benchmark's punctuation: a Han character each, words and numbers whole."""
    return _TOKEN.findall(_without_punctuation(text))


def overlap(answer: str, reference: str) -> Overlap:
    """The longest common run of tokens over the answer's, the reference's, and the mean of both; 0 if there is none."""
    said, wanted = tokens(answer), tokens(reference)
    if not (common := _longest_common_run(said, wanted)):
        return Overlap(0.0, 0.0, 0.0)
    return Overlap(common / len(said), common / len(wanted), 2 * common / (len(said) + len(wanted)))


def exact_match(answer: str, references: Sequence[str]) -> bool:
    """Whether the answer is one of the references, the benchmark's punctuation and upper case aside."""
    return _without_punctuation(answer) in map(_without_punctuation, references)


def _without_punctuation(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in _PUNCTUATION)


def _longest_common_run(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest run of elements that both have."""
    longest, before = 0, [0] * (len(second) + 1)
    for element in first:
        ends = [0] * (len(second) + 1)  # the run that ends at each place of the second
        for place, other in enumerate(second, 1):
            if element == other:
                ends[place] = before[place - 1] + 1
        longest, before = max(longest, *ends), ends
    return longest
