"""Which letter an answer chooses."""

from __future__ import annotations

import re
import unicodedata

_NAMED_CHOICE = re.compile(
    r"(?:答案|选择|選択|正解|答え|选|(?i:answer)|(?i:choose))[^A-Za-z]{0,8}?(?:(?i:is)[^A-Za-z]{0,4})?"
    r"([A-Z])(?![A-Za-z])"
)
_LONE_LETTER = re.compile(r"(?<![A-Za-z])([A-Z])(?![A-Za-z'])")


def extract_choice(answer: str) -> str:
    """The letter that an answer chooses, or "" if it chooses none.

    The last one that follows a word such as 答案, 答え or "answer"; otherwise the first capital letter that is not part
    of a word. Width is folded (NFKC).
    """
    text = unicodedata.normalize("NFKC", answer).strip()
    if re.fullmatch(r"\W*[A-Za-z]\W*", text):
        return re.sub(r"\W", "", text).upper()
    if named := _NAMED_CHOICE.findall(text):
        return str(named[-1])
    lone = _LONE_LETTER.search(text)
    return lone[1] if lone else ""
