"""How a request's tokens are drawn: what it says, and where it says nothing, what the model's own folder says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from shosei.engine.protocol import LogitRules
from shosei.errors import InputError
from shosei.text.generation import GENERATION
from shosei.wire.openai import RequestBody

_NEUTRAL = LogitRules()


class SamplingDefaults(msgspec.Struct, frozen=True):
    """As ``generation_config.json`` names them; without it OpenAI's, which change nothing."""

    temperature: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    top_k: Annotated[int, msgspec.Meta(ge=-1)] = 0
    min_p: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, msgspec.Meta(gt=0)] = 1.0

    @classmethod
    def of_folder(cls, folder: Path) -> SamplingDefaults:
        """Those of a model folder. Raises InputError for a value that no request may have."""
        file = folder / GENERATION
        if not file.is_file():
            return cls()
        try:
            values = msgspec.json.decode(file.read_bytes(), type=dict)
            stated = {name: values[name] for name in cls.__struct_fields__ if values.get(name) is not None}
            return msgspec.convert(stated, cls)
        except (msgspec.DecodeError, OSError) as error:
            raise InputError(f"{file} cannot be used: {error}; mend or remove it") from None


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
