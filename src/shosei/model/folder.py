"""A model as a stock Hugging Face folder: weights, shape, tokenizer, generation defaults."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from shosei.errors import InputError
from shosei.files import atomic_path
from shosei.model.hf_config import read_json, read_spec, to_config
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec

__all__ = ["export", "load", "read_spec"]

WEIGHTS = "model.safetensors"
_END_TOKEN = "<|im_end|>"


def export(model: Transformer, spec: ModelSpec, tokenizer_folder: Path, out: Path) -> None:
    """Write ``out`` whole or not at all; transformers' Auto classes, vLLM and SGLang load it.

    Everything in ``tokenizer_folder`` is copied along. The weights keep their type. Raises InputError if the
    tokenizer has no end-of-turn token or more entries than the model has rows.
    """
    special_ids = _special_ids(tokenizer_folder, spec)
    tensors = {
        _stored_name(name): tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if not (spec.tied and name == "lm_head.weight")
    }
    dtype = str(model.embed_tokens.weight.dtype).removeprefix("torch.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as folder:
        shutil.copytree(tokenizer_folder, folder)
        _write_json(folder / "config.json", to_config(spec, dtype, special_ids))
        _write_json(folder / "generation_config.json", {**special_ids, "do_sample": False})
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        (folder / WEIGHTS).chmod(0o644)  # safetensors keeps it from everyone else, such as another server's user


def load(path: Path, dtype: torch.dtype | None = torch.float32) -> tuple[Transformer, ModelSpec]:
    """Read a model folder into memory; ``dtype`` None keeps the stored type.

    Raises InputError, one line that names the file: missing, truncated, a tensor missing or of the wrong shape, an
    architecture that is not ours.
    """
    spec = read_spec(path)
    with torch.device("meta"):
        model = Transformer(spec)
    expected = {_stored_name(name): tensor.shape for name, tensor in model.state_dict().items()}
    if spec.tied:
        del expected["lm_head.weight"]
    tensors = _read_tensors(path, expected, dtype)
    state = {name: tensors[_stored_name(name)] for name in model.state_dict() if _stored_name(name) in tensors}
    model.load_state_dict(state, strict=False, assign=True)
    model.tie()
    return model.eval(), spec


def _read_tensors(folder: Path, expected: dict[str, torch.Size], dtype: torch.dtype | None) -> dict[str, Tensor]:
    file = folder / WEIGHTS
    if not file.is_file():
        raise InputError(f"{folder} is no complete model folder: {WEIGHTS} is missing")
    tensors = {}
    try:
        with safe_open(file, "pt") as stored:
            names = set(stored.keys())
            for name, shape in expected.items():
                if name not in names:
                    raise InputError(f"{file}: tensor '{name}' is missing; the config asks for it")
                found = stored.get_slice(name).get_shape()
                if list(shape) != found:
                    raise InputError(f"{file}: '{name}' has shape {found}, the config asks for {list(shape)}")
                tensor = stored.get_tensor(name)
                tensors[name] = tensor.to(dtype or tensor.dtype)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} is truncated or damaged ({error}); copy or export the model again") from None
    return tensors


def _stored_name(name: str) -> str:
    return name if name.startswith("lm_head.") else f"model.{name}"


def _special_ids(tokenizer_folder: Path, spec: ModelSpec) -> dict[str, int]:
    """``eos_token_id`` and, where the tokenizer names such tokens, ``pad_token_id`` and ``bos_token_id``."""
    tokenizer = read_json(tokenizer_folder, "tokenizer.json")
    ids: dict[str, int] = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
    if _END_TOKEN not in ids:
        raise InputError(f"{tokenizer_folder / 'tokenizer.json'} has no special token {_END_TOKEN}; train it again")
    largest = max([*ids.values(), *tokenizer["model"]["vocab"].values()])
    if largest >= spec.vocab_size:
        raise InputError(f"tokenizer id {largest} has no row in the model's {spec.vocab_size}; train a smaller one")
    names = read_json(tokenizer_folder, "tokenizer_config.json")
    special = {f"{kind}_token_id": ids.get(_content(names.get(f"{kind}_token"))) for kind in ("bos", "pad")}
    return {"eos_token_id": ids[_END_TOKEN]} | {key: value for key, value in special.items() if value is not None}


def _content(token: Any) -> str:
    """A special token's text: transformers writes it plain or as an object."""
    return str(token["content"] if isinstance(token, dict) else token)


def _write_json(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
