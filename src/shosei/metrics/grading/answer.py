"""An answer before it is graded: the form in which it is compared."""

from __future__ import annotations

import unicodedata

_SENTENCE_MARKS = "。．.｡!！?？"


def normalise(text: str) -> str:
    """The form in which answers are compared: NFC, no surrounding white space, at most one final sentence mark less.

    NFC joins only what Unicode holds to be the same text (か + ゙ = が). NFKC would fold full and half width, and whole
    tasks ask for nothing but the width. A text that is only a sentence mark stays as it is.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if len(text) > 1 and text[-1] in _SENTENCE_MARKS:
        return text[:-1].rstrip()
    return text
