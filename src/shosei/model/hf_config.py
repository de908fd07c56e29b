"""``config.json`` of a Hugging Face folder, to and from a ``ModelSpec``. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.model.hf_files import flag, number, read_json
from shosei.model.hf_rope import read_rope, write_rope
from shosei.spec import ModelSpec
from shosei.text_files import printable

# As ``model_type`` and, but for capitals, in the name of the class. All are one decoder with different extras.
ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "internlm2": "InternLM2ForCausalLM",
    "internlm3": "InternLM3ForCausalLM",
}

# Settings that change what a model computes, and the only values that this implementation computes.
_REQUIRED = {"hidden_act": "silu", "pretraining_tp": 1, "use_sliding_window": False, "partial_rotary_factor": 1.0}

# Far beyond any model, and small enough that no product of two of them overflows.
_LARGEST, _MOST_LAYERS = 1 << 26, 1000
_LONGEST_NAME = 200


def model_type(spec: ModelSpec) -> str:
    """The stock architecture with ``spec``'s extras. Raises InputError if there is none."""
    extras = {
        (False, False, False): "llama",
        (True, True, False): "llama",
        (True, False, False): "qwen2",
        (False, False, True): "qwen3",
    }
    kind = extras.get((spec.qkv_bias, spec.bias, spec.qk_norm))
    if kind is None:
        raise InputError(f"{spec.name}: no stock architecture has this mixture of biases; it cannot be written")
    return kind


def to_config(spec: ModelSpec, dtype: str, special_ids: dict[str, Any]) -> dict[str, Any]:
    """The contents of ``config.json``: a stock Llama, or Qwen if the spec has its extras, with an explicit head size.

    ``special_ids`` is ``{"eos_token_id": …}`` and the like.
    """
    kind = model_type(spec)
    return {
        "architectures": [ARCHITECTURES[kind]],
        "model_type": kind,
        "_name_or_path": spec.name,
        "vocab_size": spec.vocab_size,
        "hidden_size": spec.d_model,
        "num_hidden_layers": spec.n_layers,
        "intermediate_size": spec.intermediate_size,
        "num_attention_heads": spec.n_heads,
        "num_key_value_heads": spec.n_kv_heads,
        "head_dim": spec.head_dim,
        "tie_word_embeddings": spec.tied,
        **write_rope(spec),
        "max_position_embeddings": spec.context_length,
        "rms_norm_eps": spec.norm_eps,
        "hidden_act": "silu",
        "attention_bias": spec.bias,
        "mlp_bias": spec.bias,
        "pretraining_tp": 1,
        **special_ids,
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def read_spec(folder: Path) -> ModelSpec:
    """The shape of the model in ``folder``. Raises InputError: another architecture, an incomplete config, or no whole
    model."""
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder / 'adapter_config.json'}: an adapter is not a whole model; merge it into its base model with the "
            "library that made it, and import that, or take it away from a model that is to be without it"
        )
    config = read_json(folder, "config.json")
    file = folder / "config.json"
    _check(config, file)
    try:
        heads = _whole(config, "num_attention_heads")
        head_dim = _whole(config, "head_dim") if config.get("head_dim") else _whole(config, "hidden_size") // heads
        spec = ModelSpec(
            name=printable(str(config.get("_name_or_path") or folder.resolve().name))[:_LONGEST_NAME],
            vocab_size=_whole(config, "vocab_size"),
            d_model=_whole(config, "hidden_size"),
            n_layers=_whole(config, "num_hidden_layers"),
            intermediate_size=_whole(config, "intermediate_size"),
            n_heads=heads,
            n_kv_heads=_whole(config, "num_key_value_heads") if config.get("num_key_value_heads") else heads,
            head_dim=head_dim,
            tied=flag(config, file, "tie_word_embeddings"),
            norm_eps=number(config.get("rms_norm_eps", 1e-6), "rms_norm_eps"),
            **read_rope(config, head_dim, file),
            **_extras(config, file),
        )
    except KeyError as error:
        raise InputError(f"{file}: key {error} is missing; take the file of the model's original folder") from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InputError(f"{file}: a value is not a number of the kind it must be: {error}") from None
    if spec.n_heads % spec.n_kv_heads or head_dim % 2 or not 0 < head_dim <= _LARGEST or not 0 < spec.norm_eps < 1:
        raise InputError(
            f"{file}: {spec.n_heads} heads of {head_dim} over {spec.n_kv_heads} of keys and values, rms_norm_eps "
            f"{spec.norm_eps:g}: no such model can be computed; take the file of the model's original folder"
        )
    return spec


def _whole(config: dict[str, Any], key: str) -> int:
    """A size. Raises KeyError if it is missing, and ValueError if no model has such a one."""
    value = config[key]
    largest = _MOST_LAYERS if key == "num_hidden_layers" else _LARGEST
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= largest:
        raise ValueError(f"{key} = {value!r:.40} is not a whole number from 1 to {largest:,}")
    return value


def _check(config: dict[str, Any], file: Path) -> None:
    """Refuse what this implementation would compute wrongly."""
    kind = str(config.get("model_type"))
    stock = ARCHITECTURES.get(kind, "")
    classes = config.get("architectures") or [stock]
    names = [str(name).lower() for name in classes] if isinstance(classes, list) else [str(classes)]
    # transformers' InternLM3 is its Llama under another configuration.
    if kind not in ARCHITECTURES or names not in ([stock.lower()], ["llamaforcausallm"] * (kind == "internlm3")):
        shown = f"{kind} / {config.get('architectures')}"
        raise InputError(f"{file}: architecture {shown} is not supported; these are: {', '.join(ARCHITECTURES)}")
    if quantised := config.get("quantization_config") or config.get("compression_config"):
        method = quantised.get("quant_method", "quantised") if isinstance(quantised, dict) else quantised
        raise InputError(f"{file}: weights stored as {method} are not supported; take the model's unquantised folder")
    layers = config.get("layer_types") or []
    if not isinstance(layers, list) or any(kind != "full_attention" for kind in layers):
        raise InputError(f"{file}: layer_types other than full_attention are not supported")
    for key, value in _REQUIRED.items():
        if config.get(key, value) != value:
            raise InputError(f"{file}: {key} = {config[key]!r} is not supported; it must be {value!r}")


def _extras(config: dict[str, Any], file: Path) -> dict[str, Any]:
    """The biases and norms that the architecture has, or that its config asks for."""
    kind = config["model_type"]
    if kind == "qwen2":
        return {"qkv_bias": True}
    # InternLM3 writes qkv_bias and bias, transformers' own version of it Llama's names.
    attention, other = flag(config, file, "attention_bias", "qkv_bias"), flag(config, file, "mlp_bias", "bias")
    if (kind in ("qwen3", "internlm2") and (attention or other)) or (kind == "llama" and attention != other):
        raise InputError(f"{file}: biases in only a part of the {kind} layers are not supported")
    return {"qkv_bias": attention, "bias": other, "qk_norm": kind == "qwen3"}
