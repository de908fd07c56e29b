"""How a request's tokens are drawn: what it says, and where it says nothing, what the model's own folder says."""

from __future__ import annotations

import msgspec

from shosei.engine.protocol import LogitRules
from shosei.text.generation import SamplingDefaults
from shosei.wire.openai import RequestBody

_NEUTRAL = LogitRules()
OPENAI_DEFAULTS = SamplingDefaults()


class Sampling(msgspec.Struct, frozen=True):
    """What an engine request says of it, by the same names."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    rules: LogitRules | None


def sampling(request: RequestBody, defaults: SamplingDefaults) -> Sampling:
    """What ``request`` asks for, completed by ``defaults``."""

    def stated(name: str) -> float:
        value = getattr(request, name)
        return float(getattr(defaults, name) if value is None else value)

    rules = LogitRules(
        stated("repetition_penalty"),
        request.presence_penalty,
        request.frequency_penalty,
        request.logit_bias,
        request.min_tokens,
    )
    return Sampling(
        stated("temperature"),
        stated("top_p"),
        max(int(stated("top_k")), 0),
        stated("min_p"),
        None if rules == _NEUTRAL else rules,
    )
