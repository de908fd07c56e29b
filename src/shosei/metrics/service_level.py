"""What one request must keep to be good enough: the limits that goodput counts by."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shosei.config import Config

Milliseconds = Annotated[float, Field(gt=0)]


class ServiceLevel(Config):
    """Limits of a single request; None sets none. Goodput is the rate of requests that keep all of them."""

    ttft_ms: Milliseconds | None = Field(default=None, description="Time to first token, from the scheduled send.")
    inter_token_ms: Milliseconds | None = Field(
        default=None, description="Mean inter-token latency after the first token."
    )
    response_ms: Milliseconds | None = Field(
        default=None, description="Time to the last byte, from the scheduled send."
    )

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return any(value is not None for value in (self.ttft_ms, self.inter_token_ms, self.response_ms))
