"""Free-text answers against their references: overlap of characters and words, whatever their width and punctuation.

English is compared as SQuAD's own script does it. An empty reference says that the question has no answer (SQuAD 2.0):
an answer that says so, or an empty one, is right.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# A number with its sign and decimal point, a word of an alphabet, or one character of a script from U+2E80 on, where
# the Han characters and kana begin. Punctuation and symbols match nothing.
_TOKEN = re.compile(r"(?:(?<!\w)-)?\d+(?:\.\d+)*|[^\W\d_\u2e80-\U0010ffff][^\W_\u2e80-\U0010ffff]*|[^\W_]")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_LONGEST_DENIAL = 120  # characters; what is longer says more than that there is no answer
_NO_ANSWER = re.compile(
    r"^(?:n/?a|none|null|unknown|unanswerable|no answer|not answerable|无|無|なし|不明)\W*$"
    r"|\bno answer\b|\b(?:unanswerable|not answerable)\b|\bcannot be (?:answered|determined)"
    r"|\bnot (?:stated|mentioned|specified|given)\b"
    r"|\bdoes(?: not|n't) (?:say|state|mention|specify|contain|provide|answer|tell)|\bno (?:information|mention)\b"
    r"|没有答案|無答案|无答案|[无無]法(?:回答|确定|得知|確定)|没有(?:提到|提及|说明|给出|相关)|未(?:提到|提及|说明|给出)|答不出|不能回答"
    r"|答え(?:は|が)?(?:ない|なし|ありません|書かれていません)|(?:記載|言及|記述|情報)(?:は|が)?(?:ない|なし|ありません|されていません|されていない)"
    r"|答えられ(?:ない|ません)|(?:書かれて|述べられて|示されて)い(?:ない|ません)|分かりません|わかりません|判断できません"
)
_CONTRAST = re.compile(r"\b(?:but|however|although)\b|但|不过|不過|しかし|けれど|けど|ですが")


class Overlap(NamedTuple):
    """How far an answer and a reference share their tokens; each from 0 to 1."""

    precision: float
    recall: float
    f1: float


def tokens(text: str, lang: str = "") -> list[str]:
    """What an answer is compared by: Chinese and Japanese a character each, words of alphabets and numbers whole.

    English (``lang`` is ``en``) by the words that SQuAD's script makes of it: lower case, without ASCII punctuation and
    then without the articles a, an and the. All else:

    NFKC and case folding make width and case one, and punctuation is left out, but for the sign and the point of a
    number. A text of nothing but punctuation and symbols is its characters.
    """
    if lang == "en":
        return _ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split()
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).replace("\u2212", "-")
    return _TOKEN.findall(_THOUSANDS.sub("", text)) or list("".join(text.split()))


def says_no_answer(answer: str) -> bool:
    """Whether an answer is empty, or says in one short sentence, and without a "but", that there is no answer."""
    answer = unicodedata.normalize("NFKC", answer).strip().lower()
    short = len(answer) <= _LONGEST_DENIAL and not _CONTRAST.search(answer)
    return not answer or (short and bool(_NO_ANSWER.search(answer)))


def _both(answer: str, reference: str, lang: str) -> tuple[list[str], list[str]]:
    """The tokens of both; to a question without an answer, all ways of saying so are the same."""
    if not reference.strip() and says_no_answer(answer):
        return [], []
    return tokens(answer, lang), tokens(reference, lang)


def overlap(answer: str, reference: str, lang: str = "") -> Overlap:
    """Shared tokens, counted as often as both have them, over the answer's, the reference's, and the mean of both.

    The definition of SQuAD (Rajpurkar et al. 2016). CMRC 2018 (Cui et al. 2019) takes the same tokens of Chinese, but
    counts only the longest run that both have. Two empty texts agree.
    """
    answered, wanted = _both(answer, reference, lang)
    if not answered or not wanted:
        return Overlap(*[float(answered == wanted)] * 3)
    common = (Counter(answered) & Counter(wanted)).total()
    return Overlap(common / len(answered), common / len(wanted), 2 * common / (len(answered) + len(wanted)))


def best_overlap(answer: str, references: Sequence[str], lang: str = "") -> Overlap:
    """The overlap with the reference of the highest F1."""
    return max((overlap(answer, reference, lang) for reference in references), key=lambda found: (found.f1, found))


def exact_match(answer: str, references: Sequence[str], lang: str = "") -> bool:
    """Whether the answer has the tokens of one of the references, in their order."""
    pairs = (_both(answer, reference, lang) for reference in references)
    return any(answered == wanted for answered, wanted in pairs)
