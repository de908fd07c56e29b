"""``config.json`` of a Hugging Face folder, to and from a ``ModelSpec``. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.spec import ModelSpec

ARCHITECTURE = "LlamaForCausalLM"

# Settings that change what a Llama computes, and the only values that this implementation computes.
_REQUIRED = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "pretraining_tp": 1}


def to_config(spec: ModelSpec, dtype: str, special_ids: dict[str, int]) -> dict[str, Any]:
    """The contents of ``config.json``: a stock Llama with an explicit head size.

    ``special_ids`` is ``{"eos_token_id": …}`` and the like. Both spellings of RoPE's base are written: readers that
    do not know the one they look for fall back to 10,000 without a word.
    """
    return {
        "architectures": [ARCHITECTURE],
        "model_type": "llama",
        "_name_or_path": spec.name,
        "vocab_size": spec.vocab_size,
        "hidden_size": spec.d_model,
        "num_hidden_layers": spec.n_layers,
        "intermediate_size": spec.intermediate_size,
        "num_attention_heads": spec.n_heads,
        "num_key_value_heads": spec.n_kv_heads,
        "head_dim": spec.head_dim,
        "tie_word_embeddings": spec.tied,
        "rope_theta": spec.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": spec.rope_theta},
        "max_position_embeddings": spec.context_length,
        "rms_norm_eps": spec.norm_eps,
        **_REQUIRED,
        **special_ids,
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def read_spec(folder: Path) -> ModelSpec:
    """The shape of the model in ``folder``. Raises InputError if it is no Llama or its config is incomplete."""
    config = read_json(folder, "config.json")
    file = folder / "config.json"
    if config.get("model_type") != "llama" or config.get("architectures", [ARCHITECTURE]) != [ARCHITECTURE]:
        kind = f"{config.get('model_type')} / {config.get('architectures')}"
        raise InputError(f"{file}: architecture {kind} is not supported; export the model as {ARCHITECTURE}")
    for key, value in _REQUIRED.items():
        if config.get(key, value) != value:
            raise InputError(f"{file}: {key} = {config[key]!r} is not supported; it must be {value!r}")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        raise InputError(f"{file}: RoPE scaling '{rope.get('rope_type', rope.get('type'))}' is not supported")
    try:
        heads = int(config["num_attention_heads"])
        return ModelSpec(
            name=str(config.get("_name_or_path") or folder.resolve().name),
            vocab_size=int(config["vocab_size"]),
            d_model=int(config["hidden_size"]),
            n_layers=int(config["num_hidden_layers"]),
            intermediate_size=int(config["intermediate_size"]),
            n_heads=heads,
            n_kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
            tied=bool(config.get("tie_word_embeddings", False)),
            rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
            context_length=int(config["max_position_embeddings"]),
            norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        )
    except KeyError as error:
        raise InputError(f"{file}: key {error} is missing; take the file of the model's original folder") from None
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{file}: a value is not a number of the kind it must be: {error}") from None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object of a model folder. Raises InputError that names the missing or malformed file."""
    file = folder / name
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} is no complete model folder: {name} is missing") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{file} must hold a JSON object")
    return value


def write_json(file: Path, value: dict[str, Any]) -> None:
    """Write a JSON object of a model folder, for people to read too."""
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
