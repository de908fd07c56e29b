"""Raters by a hash that only the run folder can repeat: ratings of one rater belong together, and name nobody."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from shosei.errors import InputError
from shosei.files import atomic_path, locked

_FILE = "rater.salt"
_SALT_BYTES = 32
_HASH_CHARACTERS = 32


class Raters:
    """The raters of one run folder. Its salt is made once, whoever comes first, and only the owner may read it."""

    def __init__(self, run_folder: Path) -> None:
        self._salt = _salt(run_folder)

    def user(self, name: str) -> str:
        """The hash of a rater with a name."""
        return self._hash(f"user {name}")

    def address(self, address: str) -> str:
        """The hash of a rater of whom only the network address is known."""
        return self._hash(f"address {address}")

    def _hash(self, rater: str) -> str:
        return hmac.digest(self._salt, rater.encode(), "sha256").hex()[:_HASH_CHARACTERS]


def _salt(folder: Path) -> bytes:
    path = folder / _FILE
    with locked(folder / ".lock"):
        if not path.exists():
            with atomic_path(path) as temporary:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(descriptor, "wb") as file:
                    file.write(secrets.token_bytes(_SALT_BYTES))
        salt = path.read_bytes()
    if len(salt) != _SALT_BYTES:
        raise InputError(f"{path} is not a salt of {_SALT_BYTES} bytes: remove it; raters then count as new ones")
    return salt
