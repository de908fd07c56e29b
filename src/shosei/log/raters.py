"""Raters by a hash that only the run folder can repeat: ratings of one rater belong together, and name nobody."""

from __future__ import annotations

from shosei.log.secret import RunSecret

_HASH_CHARACTERS = 32


class Raters:
    """The raters of one run: each way to tell them apart has hashes of its own."""

    def __init__(self, secret: RunSecret) -> None:
        self._secret = secret

    def user(self, name: str) -> str:
        """The hash of a rater whom a file names."""
        return self._hash("user", name)

    def of_key(self, key: str, name: str) -> str:
        """The hash of the rater whom the holder of an API key names; of the holder, where ``name`` is empty."""
        return self._hash("key", f"{self._hash('holder', key)} {name}")

    def browser(self, token: str) -> str:
        """The hash of the rater whose cookie has ``token``."""
        return self._hash("browser", token)

    def address(self, address: str) -> str:
        """The hash of a rater of whom only the network address is known."""
        return self._hash("address", address)

    def _hash(self, way: str, rater: str) -> str:
        return self._secret.sign(way, rater, _HASH_CHARACTERS)
