"""The secret of a run folder: what it signs, only this run can have signed, before a restart or in another process."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from shosei.errors import InputError
from shosei.files import atomic_path, locked

_FILE = "rater.salt"  # it began as the salt of raters' hashes
_BYTES = 32
_ANSWER = "answer"  # the purpose of a signature in an id
_RANDOM_BYTES = 12  # of an answer's id: 96 bits, no two of 10^9 answers are alike
_SIGNATURE_CHARACTERS = 16  # of an answer's id: 64 bits, which only asking the server can test


class RunSecret:
    """Signs texts. A signature for one ``purpose``, a word, is none for another."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, run_folder: Path) -> RunSecret:
        """The folder's secret, made once by whoever comes first; only the owner may read it.

        Raises InputError for a file that is no secret, OSError where it cannot be read or made.
        """
        path = run_folder / _FILE
        with locked(run_folder / ".lock"):
            if not path.exists():
                _make(path)
            key = path.read_bytes()
        if len(key) != _BYTES:
            raise InputError(
                f"{path} is not a secret of {_BYTES} bytes: remove it; raters then count as new ones, and answers "
                "that were given before can no longer be rated"
            )
        return cls(key)

    @classmethod
    def of_process(cls) -> RunSecret:
        """One that is forgotten with this process, where there is no run folder."""
        return cls(secrets.token_bytes(_BYTES))

    def sign(self, purpose: str, text: str, characters: int) -> str:
        """The first ``characters`` of an HMAC-SHA256 (RFC 2104) in hex, at most 64."""
        return hmac.digest(self._key, _bytes(f"{purpose} {text}"), "sha256").hex()[:characters]

    def has_signed(self, signature: str, purpose: str, text: str) -> bool:
        """Whether ``signature`` is that of ``text``. An empty one is not: the caller knows how long his are."""
        expected = self.sign(purpose, text, len(signature))
        return bool(signature) and hmac.compare_digest(_bytes(signature), _bytes(expected))


class AnswerIds:
    """Makes the ids of a run's answers, and knows them again: whoever shows one was given it, with an answer.

    No table of answers is kept, so an answer can be rated after any restart, by way of any front of the run, and
    however many came since. An id leaves the server only within an answer: a request that failed before its first token
    shows none. An answer that broke off later did show one, and may be rated: its reader has an opinion.
    """

    def __init__(self, secret: RunSecret) -> None:
        self._secret = secret

    def new(self, prefix: str) -> str:
        """An id that begins with ``prefix``, such as ``chatcmpl-``."""
        unsigned = prefix + secrets.token_hex(_RANDOM_BYTES)
        return unsigned + self._secret.sign(_ANSWER, unsigned, _SIGNATURE_CHARACTERS)

    def is_own(self, id: str) -> bool:
        """Whether this run made ``id``."""
        unsigned, signature = id[:-_SIGNATURE_CHARACTERS], id[-_SIGNATURE_CHARACTERS:]
        return len(signature) == _SIGNATURE_CHARACTERS and self._secret.has_signed(signature, _ANSWER, unsigned)


def _bytes(text: str) -> bytes:
    """Of any text, also of what a terminal gave in another encoding than UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _make(path: Path) -> None:
    with atomic_path(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
