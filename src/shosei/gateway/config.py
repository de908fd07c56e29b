"""What a gateway can be told."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from shosei.errors import InputError
from shosei.gateway.bodies import BODY_MEMORY_BYTES, MAX_BODY_BYTES
from shosei.gateway.budget import TaskBudget
from shosei.gateway.faults import FaultRates
from shosei.wire.access import AccessConfig
from shosei.wire.endpoint import KEY_VARIABLE
from shosei.wire.rating_config import RatingConfig

Count = Annotated[int, Field(ge=1)]


class GatewayConfig(RatingConfig, AccessConfig):
    """Everything but the upstream and the log."""

    purpose: ClassVar[str] = "agents"

    port: int = Field(default=8100, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    key_variable: str = Field(
        default=KEY_VARIABLE,
        description="Environment variable with the upstream's key; without one the client's own is used.",
    )
    stall_s: float = Field(default=120.0, ge=0.1, description="Longest silence of the upstream, in seconds.")
    drain_s: float = Field(default=20.0, ge=0, description="For answers under way when it is to stop, in seconds.")
    body_memory: int = Field(
        default=BODY_MEMORY_BYTES,
        ge=MAX_BODY_BYTES,
        description="Bytes that the bodies of all requests may take together; others are refused (503).",
    )
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
    page: bool = Field(default=False, description="Serve the chat page at /, in front of the upstream.")
    keep_bodies: bool = Field(default=False, description="Keep questions and answers in the run folder, in plain text.")

    @cached_property
    def budget(self) -> TaskBudget:
        """What one task may spend."""
        return TaskBudget(self.calls, self.tokens)

    @cached_property
    def fault_rates(self) -> FaultRates:
        """Which calls are broken."""
        return FaultRates.parse(self.inject, self.seed, self.delay_s)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Raise InputError for unknown faults, and where two settings contradict each other."""
        _ = self.fault_rates
        if self.record and self.replay:
            raise InputError("record and replay: answers are written down or read back, not both", param="record")
        return self
