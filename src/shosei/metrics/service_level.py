"""What one request must keep to be good enough: the limits that goodput counts by."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from shosei.config import Config
from shosei.log import Columns

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

    def broken(self, requests: Columns) -> np.ndarray:
        """Which requests are known to have exceeded a limit."""
        return _any(requests, [times > limit for times, limit in self._limited(requests)])

    def unknown(self, requests: Columns) -> np.ndarray:
        """Which requests are not known to have exceeded a limit, but may have: one of their times is not known."""
        missing = _any(requests, [np.isnan(times) for times, _ in self._limited(requests)])
        unknown: np.ndarray = missing & ~self.broken(requests)
        return unknown

    def kept(self, requests: Columns) -> np.ndarray:
        """Which requests are known to have kept every limit."""
        kept: np.ndarray = ~(self.broken(requests) | self.unknown(requests))
        return kept

    def _limited(self, requests: Columns) -> list[tuple[np.ndarray, float]]:
        """The times that have a limit. An answer of one token has no time between tokens to exceed."""
        # Verbs read limits before they measure anything: naming them must not cost the import of scipy.
        from shosei.metrics.observed.requests import first_token_ms, inter_token_ms, response_ms, timed_tokens

        def between_tokens_ms(requests: Columns) -> np.ndarray:
            return np.where(timed_tokens(requests) == 1, 0.0, inter_token_ms(requests))

        limits = [
            (first_token_ms, self.ttft_ms),
            (between_tokens_ms, self.inter_token_ms),
            (response_ms, self.response_ms),
        ]
        return [(times_of(requests), limit) for times_of, limit in limits if limit is not None]


def _any(requests: Columns, conditions: list[np.ndarray]) -> np.ndarray:
    met: np.ndarray = np.any([np.zeros(len(requests), dtype=bool), *conditions], axis=0)
    return met
