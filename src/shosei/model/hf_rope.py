"""RoPE's part of ``config.json``, to and from a spec's fields. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.model.hf_files import flag, number
from shosei.spec import ModelSpec
from shosei.spec.rope import LinearScaling, Llama3Scaling, RopeScaling, YarnScaling

_SCALINGS: dict[str, Any] = {"linear": LinearScaling, "llama3": Llama3Scaling, "yarn": YarnScaling}
# Dynamic scaling begins beyond max_position_embeddings, which is where our context ends.
_PLAIN = ("default", "dynamic")
# Keys that change nothing. Of the others, those that a kind does not have are refused.
_IDLE = ("type", "rope_type", "rope_theta", "finetuned")

_LONGEST = 1 << 27  # positions that float32 tells apart in RoPE are far fewer


def read_rope(config: dict[str, Any], head_dim: int, file: Path) -> dict[str, Any]:
    """``rope_theta``, ``rope_scaling`` and ``context_length`` of a spec, from either spelling.

    YaRN's context is what it stretches to, whether or not ``max_position_embeddings`` says so. Raises InputError for
    a kind that is not computed here, and KeyError, TypeError or ValueError for a missing or wrong value.
    """
    rope = _parameters(config, file)
    theta = number(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0, "rope_theta")
    context = _whole(config["max_position_embeddings"], "max_position_embeddings")
    if not 0 < context <= _LONGEST or not 0 < theta < math.inf:
        raise ValueError(f"max_position_embeddings = {context}, rope_theta = {theta}")
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise InputError(f"{file}: RoPE with partial_rotary_factor is not supported")
    scaling = _scaling(rope, context, file)
    if scaling:
        numbers = [*scaling.divisors(theta, head_dim), scaling.magnitude]
        if not all(math.isfinite(number) and number > 0 for number in numbers):
            raise ValueError(f"RoPE scaling {rope}")
    if isinstance(scaling, YarnScaling):
        context = max(context, int(scaling.factor * scaling.original_max_position_embeddings))
    return {"rope_theta": theta, "rope_scaling": scaling, "context_length": context}


def write_rope(spec: ModelSpec) -> dict[str, Any]:
    """Both spellings: a reader that does not know the one it finds falls back to a base of 10,000 without a word."""
    parameters: dict[str, Any] = {"rope_type": "default"}
    config: dict[str, Any] = {"rope_theta": spec.rope_theta}
    if spec.rope_scaling:
        parameters = {key: value for key, value in asdict(spec.rope_scaling).items() if value is not None}
        config["rope_scaling"] = parameters
    return config | {"rope_parameters": parameters | {"rope_theta": spec.rope_theta}}


def _whole(value: Any, key: str) -> int:
    if not number(value, key).is_integer():
        raise ValueError(f"{key} = {value!r:.40} is not a whole number")
    return int(value)


def _parameters(config: dict[str, Any], file: Path) -> dict[str, Any]:
    """What the spellings say. Raises InputError for what is no object, and where each says something else."""
    spellings = [_spelt(config, key, file) for key in ("rope_parameters", "rope_scaling") if config.get(key)]
    if any(_scaling_of(rope) != _scaling_of(spellings[0]) for rope in spellings):
        raise InputError(f"{file}: rope_parameters and rope_scaling say different things; take the wrong one out")
    return spellings[0] if spellings else {}


def _scaling_of(rope: dict[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in rope.items() if value is not None and key not in _IDLE}
    return given | {"rope_type": rope.get("rope_type", rope.get("type", "default"))}


def _spelt(config: dict[str, Any], key: str, file: Path) -> dict[str, Any]:
    """One spelling; where kinds of layers have parameters of their own, those of full attention, which is all that is
    computed here. Raises InputError for what is no object."""
    rope = config[key]
    if isinstance(rope, dict) and rope and all(isinstance(part, dict) for part in rope.values()):
        if list(rope) != ["full_attention"]:
            raise InputError(f"{file}: {key} of several kinds of layers ({', '.join(rope)}) are not supported")
        rope = rope["full_attention"]
    if not isinstance(rope, dict):
        raise InputError(f"{file}: {key} = {rope!r} is not supported; it must be an object with a rope_type")
    return rope


def _scaling(rope: dict[str, Any], context: int, file: Path) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind in _PLAIN:
        if kind == "default" and rope.get("factor") not in (None, 1):
            raise InputError(f"{file}: RoPE's factor = {rope['factor']!r:.40} says nothing without a rope_type")
        return None
    if not isinstance(kind, str) or kind not in _SCALINGS:
        supported = ", ".join([*_PLAIN, *_SCALINGS])
        raise InputError(f"{file}: RoPE scaling '{kind}' is not supported; these are: {supported}")
    wanted = {field.name: field for field in fields(_SCALINGS[kind]) if field.init}
    given = {key: value for key, value in rope.items() if value is not None and key not in _IDLE}
    if "original_max_position_embeddings" in wanted:
        given.setdefault("original_max_position_embeddings", context)
    if unknown := sorted(given.keys() - wanted.keys()):
        raise InputError(f"{file}: RoPE scaling '{kind}' with {unknown[0]} is not supported")
    kinds = {"original_max_position_embeddings": _whole, "truncate": lambda *_: flag(given, file, "truncate")}
    present = [key for key, field in wanted.items() if key in given or field.default is MISSING]
    scaling: RopeScaling = _SCALINGS[kind](**{key: kinds.get(key, number)(given[key], key) for key in present})
    return scaling
