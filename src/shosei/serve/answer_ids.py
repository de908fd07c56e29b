"""Ids that prove themselves: whoever shows one was given it, with an answer of this run.

No table of answers is kept, so an answer can be rated after any restart, by way of any front of the run, and however
many came since. An id leaves the server only within an answer: a request that failed before its first token shows none.
An answer that broke off later did show one, and may be rated: its reader has an opinion.
"""

from __future__ import annotations

import secrets

from shosei.log.secret import RunSecret

_PURPOSE = "answer"
_RANDOM_BYTES = 12  # 96 bits: no two of 10^9 answers are alike
_SIGNATURE_CHARACTERS = 16  # 64 bits, which only asking the server can test


class AnswerIds:
    """Makes the ids of a run's answers, and knows them again."""

    def __init__(self, secret: RunSecret) -> None:
        self._secret = secret

    def new(self, prefix: str) -> str:
        """An id that begins with ``prefix``, such as ``chatcmpl-``."""
        unsigned = prefix + secrets.token_hex(_RANDOM_BYTES)
        return unsigned + self._secret.sign(_PURPOSE, unsigned, _SIGNATURE_CHARACTERS)

    def is_own(self, id: str) -> bool:
        """Whether this run made ``id``."""
        unsigned, signature = id[:-_SIGNATURE_CHARACTERS], id[-_SIGNATURE_CHARACTERS:]
        return len(signature) == _SIGNATURE_CHARACTERS and self._secret.has_signed(signature, _PURPOSE, unsigned)
