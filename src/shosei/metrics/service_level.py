"""What one request must keep to be good enough: the limits that goodput counts by."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shosei.config import Config
from shosei.log import Request
from shosei.metrics.observed.requests import first_token_ms, inter_token_ms, response_ms

Milliseconds = Annotated[float, Field(gt=0)]


class ServiceLevel(Config):
    """Limits of a single request, and of an agent system's task; None sets none. What keeps all counts as goodput."""

    ttft_ms: Milliseconds | None = Field(default=None, description="Time to first token, from the scheduled send.")
    inter_token_ms: Milliseconds | None = Field(
        default=None, description="Mean inter-token latency after the first token."
    )
    response_ms: Milliseconds | None = Field(
        default=None, description="Time to the last byte, from the scheduled send."
    )

    task_ms: Milliseconds | None = Field(
        default=None, description="Time of a task given to an agent system, from its submission to the final answer."
    )

    @property
    def is_set(self) -> bool:
        """Whether there is any limit of a single request."""
        return any(value is not None for value in (self.ttft_ms, self.inter_token_ms, self.response_ms))

    def kept_by(self, request: Request) -> bool | None:
        """Whether an answered request kept every limit; None where one of its times is not known.

        An answer of one token has no time between tokens to exceed.
        """
        gap = 0.0 if request.tokens_out == 1 else inter_token_ms(request)
        pairs = [
            (first_token_ms(request), self.ttft_ms),
            (gap, self.inter_token_ms),
            (response_ms(request), self.response_ms),
        ]
        limited = [(time, limit) for time, limit in pairs if limit is not None]
        if any(time is not None and time > limit for time, limit in limited):
            return False
        return None if any(time is None for time, _ in limited) else True
