"""Faults on purpose: which calls get one, and what it does to them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable

import msgspec

from shosei.errors import InputError, nearest
from shosei.gateway.call import Call
from shosei.gateway.relay import Relay
from shosei.log import Event, Fault

KINDS = ("429", "500", "delay", "cut")
_REFUSED = {  # status, message, and the error of the event
    "429": (429, "Too many requests (injected)", "429"),
    "500": (500, "The server failed (injected)", "5xx"),
}


class FaultRates(msgspec.Struct, frozen=True):
    """Shares of requests that are refused (429, 500), answered late (``delay``) or cut off within the answer.

    Which requests get which is settled by their numbers and the seed, before any of them comes.
    """

    rates: tuple[tuple[str, float], ...] = ()  # kind and share; a request gets one fault at most
    seed: int = 0
    delay_s: float = 1.0

    @classmethod
    def parse(cls, texts: Iterable[str], seed: int = 0, delay_s: float = 1.0) -> FaultRates:
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


async def inject(kind: str, call: Call, relay: Relay, delay_s: float, emit: Callable[[Event], None]) -> bool:
    """Do what a fault of this ``kind`` does before the call is sent on; return whether that was its answer.

    An empty ``kind`` does nothing. Of ``cut`` only the event is written here: the relay cuts the answer off.
    """
    if not kind:
        return False
    now = time.monotonic_ns()
    # A moment, not a stretch: the requests of others in the meantime are as usual.
    emit(
        Fault(
            name=kind,
            begin_ns=now,
            end_ns=now,
            child="gateway",
            phase="inference",
            span=call.id,
            task=call.task,
            agent=call.agent,
        )
    )
    if kind == "delay":
        await asyncio.sleep(delay_s)
    if refused := _REFUSED.get(kind):
        status, message, error = refused
        relay.refuse(status, message, "injected_fault", error=error)
    return refused is not None
