"""Faults on purpose: which requests get which is settled by their numbers and a seed, before any of them comes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from shosei.errors import InputError, nearest

KINDS = ("429", "500", "delay", "cut")


class Faults(msgspec.Struct, frozen=True):
    """Shares of requests that are refused (429, 500), answered late (``delay``) or cut off within the answer."""

    rates: tuple[tuple[str, float], ...] = ()  # kind and share; a request gets one fault at most
    seed: int = 0
    delay_s: float = 1.0

    @classmethod
    def parse(cls, texts: Iterable[str], seed: int = 0, delay_s: float = 1.0) -> Faults:
        """From ``kind=share`` each. Raises InputError."""
        rates: dict[str, float] = {}
        for text in texts:
            kind, _, share = text.partition("=")
            if kind not in KINDS:
                raise InputError(f"--inject {text}: unknown fault '{kind}'{nearest(kind, KINDS)}")
            try:
                rates[kind] = float(share)
            except ValueError:
                raise InputError(f"--inject {text}: write it as {kind}=SHARE, such as {kind}=0.1") from None
            if not 0 <= rates[kind] <= 1:
                raise InputError(f"--inject {text}: a share is from 0 to 1")
        if sum(rates.values()) > 1:
            raise InputError("--inject: the shares add up to more than 1")
        return cls(tuple(rates.items()), seed, delay_s)

    def draw(self, number: int) -> str:
        """The fault of the request with this number, from 1; empty if it has none."""
        if not self.rates:
            return ""
        digest = hashlib.sha256(f"{self.seed}:{number}".encode()).digest()
        place = int.from_bytes(digest[:8]) / 2**64
        for kind, rate in self.rates:
            if place < rate:
                return kind
            place -= rate
        return ""
