"""A model as a stock Hugging Face folder: weights, shape, tokenizer, generation defaults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shosei.errors import InputError
from shosei.files import atomic_path
from shosei.model import weights
from shosei.model.hf_config import read_json, read_spec, to_config, write_json
from shosei.model.transformer import Transformer
from shosei.model.weight_files import WEIGHTS, weight_files
from shosei.model.weights import Weights
from shosei.spec import ModelSpec

__all__ = ["WEIGHTS", "convert", "export", "load", "read_spec", "tensor_shapes", "weight_files"]

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_END_TOKEN = "<|im_end|>"


def export(model: Transformer, spec: ModelSpec, tokenizer_folder: Path, out: Path) -> None:
    """Write ``out`` whole or not at all; transformers' Auto classes, vLLM and SGLang load it.

    The tokenizer's files are copied along. The weights keep their type. Raises InputError if the tokenizer has no
    end-of-turn token or more entries than the model has rows.
    """
    tensors = {_stored_name(name): tensor for name, tensor in model.state_dict().items()}
    _write(spec, tensors.__getitem__, model.embed_tokens.weight.dtype, tokenizer_folder, out)


def convert(source: Path, out: Path, dtype: torch.dtype | None = None) -> ModelSpec:
    """Write the model folder ``source`` again as ``out``, as ``export`` does, without holding it in memory.

    ``dtype`` None keeps the type of the input table. Raises InputError as ``load`` and ``export`` do.
    """
    spec = read_spec(source)
    stored, shapes = Weights(source), tensor_shapes(spec)

    def read(name: str) -> Tensor:
        return stored.read(name, shapes[name])

    _write(spec, read, dtype or read("model.embed_tokens.weight").dtype, source, out)
    return spec


def load(path: Path, dtype: torch.dtype | None = torch.float32) -> tuple[Transformer, ModelSpec]:
    """Read a model folder into memory; ``dtype`` None keeps the stored type.

    Raises InputError, one line that names the file: missing, truncated, a tensor missing or of the wrong shape, an
    architecture that is not ours.
    """
    spec = read_spec(path)
    with torch.device("meta"):
        model = Transformer(spec)
    stored = Weights(path)
    state = {}
    for name, shape in tensor_shapes(spec).items():
        tensor = stored.read(name, shape)
        state[name.removeprefix("model.")] = tensor.to(dtype or tensor.dtype)
    model.load_state_dict(state, strict=False, assign=True)
    model.tie()
    return model.eval(), spec


def tensor_shapes(spec: ModelSpec) -> dict[str, torch.Size]:
    """Shape of each tensor that a folder of this model stores, by its name there."""
    with torch.device("meta"):
        model = Transformer(spec)
    shapes = {_stored_name(name): tensor.shape for name, tensor in model.state_dict().items()}
    if spec.tied:
        del shapes["lm_head.weight"]
    return shapes


def _write(
    spec: ModelSpec, read: Callable[[str], Tensor], dtype: torch.dtype, tokenizer_folder: Path, out: Path
) -> None:
    special_ids = _special_ids(tokenizer_folder, spec)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as folder:
        folder.mkdir()
        for name in _TOKENIZER_FILES:
            if (tokenizer_folder / name).is_file():
                shutil.copy(tokenizer_folder / name, folder)
        write_json(folder / "config.json", to_config(spec, str(dtype).removeprefix("torch."), special_ids))
        write_json(folder / "generation_config.json", {**special_ids, "do_sample": False})
        weights.write(folder, tensor_shapes(spec), read, dtype)


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
