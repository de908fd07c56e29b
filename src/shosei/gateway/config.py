"""What a gateway can be told."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shosei.errors import InputError
from shosei.gateway.faults import Faults
from shosei.wire.endpoint import KEY_VARIABLE


class Budget(msgspec.Struct, frozen=True):
    """What one task may spend; None: as much as it likes. Calls that are under way when tokens run out still end."""

    calls: int | None = None
    tokens: int | None = None  # of prompts and of answers

    def __post_init__(self) -> None:
        for name in ("calls", "tokens"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise InputError(f"{name}: a budget of {limit} allows nothing; give 1 or more", param=name)


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
