"""What a gateway can be told, and the faults that it can be told to make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Self

import msgspec
from pydantic import Field, model_validator

from shosei.config import Config
from shosei.errors import InputError, nearest
from shosei.gateway.budget import TaskBudget
from shosei.wire.endpoint import KEY_VARIABLE

Count = Annotated[int, Field(ge=1)]
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


class GatewayConfig(Config):
    """Everything but the upstream and the log."""

    purpose: ClassVar[str] = "agents"

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every one.")
    port: int = Field(default=8100, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    key_variable: str = Field(
        default=KEY_VARIABLE,
        description="Environment variable with the upstream's key; without one the client's own is used.",
    )
    stall_s: float = Field(default=120.0, ge=0.1, description="Longest silence of the upstream, in seconds.")
    drain_s: float = Field(default=5.0, ge=0, description="For answers in flight when the gateway closes, in seconds.")
    calls: Count | None = Field(default=None, description="Most calls of one task.")
    tokens: Count | None = Field(default=None, description="Most tokens of one task, of prompts and of answers.")
    inject: list[str] = Field(
        default=[],
        description="Shares of calls to break on purpose: 429, 500, delay or cut, such as 429=0.1.",
    )
    seed: int = Field(default=0, description="Of which calls are broken.")
    delay_s: float = Field(default=1.0, ge=0, description="How late a delayed call is sent on, in seconds.")
    record: Path | None = Field(default=None, description="Folder to write every answer down in.")
    replay: Path | None = Field(default=None, description="Folder to read answers from; nobody is asked.")
    keep_bodies: bool = Field(default=False, description="Keep questions and answers in the run folder, in plain text.")

    @cached_property
    def budget(self) -> TaskBudget:
        """What one task may spend."""
        return TaskBudget(self.calls, self.tokens)

    @cached_property
    def faults(self) -> Faults:
        """Which calls are broken."""
        return Faults.parse(self.inject, self.seed, self.delay_s)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Raise InputError for faults that are none, and where two settings contradict each other."""
        _ = self.faults
        if self.record and self.replay:
            raise InputError("record and replay: answers are written down or read back, not both", param="record")
        return self
