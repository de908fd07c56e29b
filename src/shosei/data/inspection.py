"""Training rows as a person can look at them: their tokens and where loss is taken, their lengths, their languages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby

from shosei.data.dialogues import Dialogue
from shosei.data.examples import Example
from shosei.text import Tokenizer

LANGUAGES = ("zh", "ja", "en", "other")
_KANA, _HAN, _LATIN = (re.compile(f"[{signs}]") for signs in ("\u3041-\u30fe\uff66-\uff9d", "\u4e00-\u9fff", "A-Za-z"))
_LEAST_KANA = 0.2  # of kana and Chinese characters, for Japanese: its prose has about half; Chinese may quote some
_LEAST_CJK = 0.1  # of letters, for a text that also has Latin ones


def stretches(example: Example, tokenizer: Tokenizer) -> Iterator[tuple[bool, list[str]]]:
    """Whether loss is taken, and the tokens in words, for each stretch of an example in which that stays the same."""
    names = {tokenizer.special_id(name): name for name in tokenizer.special_names}
    for learnt, pairs in groupby(zip(*example, strict=True), key=lambda pair: pair[1]):
        yield learnt, [names.get(token) or _readable(tokenizer.token_bytes(token)) for token, _ in pairs]


def histogram(lengths: Iterable[int]) -> list[tuple[int, int, int]]:
    """First and last length of each bin and how many fall into it; a bin reaches from one power of two to the next."""
    bins = Counter(max(0, (length - 1).bit_length()) for length in lengths)
    if not bins:
        return []
    return [(1 + (1 << power >> 1), 1 << power, bins[power]) for power in range(min(bins), max(bins) + 1)]


def languages(dialogues: Iterable[Dialogue]) -> dict[str, int]:
    """Dialogues by the language that the script of their messages suggests."""
    counts = Counter(
        language_of("\n".join(message["content"] or "" for message in dialogue.messages)) for dialogue in dialogues
    )
    return {language: counts[language] for language in LANGUAGES}


def language_of(text: str) -> str:
    """``ja`` for a text with enough kana, ``zh`` for other Chinese characters, ``en`` for Latin letters, ``other``."""
    kana, han, latin = (len(script.findall(text)) for script in (_KANA, _HAN, _LATIN))
    if kana + han > _LEAST_CJK * (kana + han + latin):
        return "ja" if kana >= _LEAST_KANA * (kana + han) else "zh"
    return "en" if latin else "other"


def _readable(token: bytes) -> str:
    """A token's text on one line; bytes that are no whole character, and signs that cannot be seen, as their codes."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in token)
    shown = text.replace("\n", "⏎")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in shown)
