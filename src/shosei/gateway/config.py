"""What a gateway can be told, and the faults that it can be told to make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from shosei.errors import InputError, nearest
from shosei.gateway.budget import Budget
from shosei.wire.endpoint import KEY_VARIABLE

KINDS = ("429", "500", "delay", "cut")


class Faults(msgspec.Struct, frozen=True):
    """Shares of requests that are refused (429, 500), answered late (``delay``) or cut off within the answer.

    Which requests get which is settled by their numbers and the seed, before any of them comes.
    """

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


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but the upstream and the log. Without a key in ``key_variable``, the client's own goes upstream."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one
    purpose: str = "agents"
    budget: Budget = Budget()
    key_variable: str = KEY_VARIABLE
    stall_s: float = 120.0  # the upstream's longest silence, before its answer and within
    drain_s: float = 5.0  # for answers in flight when the gateway closes
    faults: Faults = Faults()
    record: Path | None = None
    replay: Path | None = None
    keep_bodies: bool = False

    def __post_init__(self) -> None:
        if self.record and self.replay:
            raise InputError("record and replay: answers are written down or read back, not both", param="record")
