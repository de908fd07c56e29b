"""Until when an answer is worth having, as its client said: the field ``timeout`` or a header, in seconds."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from starlette.types import Scope

from shosei.log import Request as Event
from shosei.wire.api_error import ApiError
from shosei.wire.openai import RequestBody

TIMEOUT_HEADER = "x-request-timeout"


@dataclass(frozen=True, slots=True)
class Deadline:
    """``seconds`` from the request's arrival; None where it may take any time."""

    seconds: float | None
    arrived_ns: int

    @classmethod
    def of(cls, event: Event, request: RequestBody, scope: Scope) -> Deadline:
        """The earlier of those that the request names. Raises ApiError for a header that is no time."""
        named = [seconds for seconds in (request.timeout, _in_header(scope)) if seconds is not None]
        return cls(min(named, default=None), event.scheduled_ns)

    @property
    def left_s(self) -> float | None:
        """Seconds from now, never fewer than none."""
        if self.seconds is None:
            return None
        return max(0.0, self.seconds - (time.monotonic_ns() - self.arrived_ns) / 1e9)

    def error(self) -> ApiError:
        return ApiError(
            504, f"The answer was not done within {self.seconds:g} s, the request's timeout", code="timeout"
        )


def _in_header(scope: Scope) -> float | None:
    text = dict(scope["headers"]).get(TIMEOUT_HEADER.encode())
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ApiError(400, f"{TIMEOUT_HEADER} must be a number of seconds above 0", param=TIMEOUT_HEADER)
    return seconds
