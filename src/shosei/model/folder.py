"""A model as a stock Hugging Face folder: weights, shape, tokenizer, generation defaults."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from shosei.errors import InputError
from shosei.files import atomic_path
from shosei.model.hf_config import read_spec, to_config
from shosei.model.hf_files import WEIGHTS, read_json, weight_files, write_json
from shosei.model.internlm2 import InternLM2Weights
from shosei.model.linear import Linear
from shosei.model.transformer import Transformer
from shosei.model.weights import TYPES, Weights, write
from shosei.progress import progress
from shosei.spec import ModelSpec
from shosei.spec.generation import WeightFormat

__all__ = ["WEIGHTS", "convert", "export", "load", "open_model", "read_spec", "tensor_shapes", "weight_files"]

_TABLE, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "additional_chat_templates/tool_use.jinja",
)


def export(model: Transformer, spec: ModelSpec, tokenizer_folder: Path, out: Path) -> None:
    """Write ``out`` whole or not at all; transformers' Auto classes, vLLM and SGLang load it.

    The tokenizer's files are copied along. The weights keep their type. Raises InputError if the tokenizer has no
    end-of-turn token or more entries than the model has rows.
    """
    tensors = {_stored_name(name): tensor for name, tensor in model.state_dict().items()}
    _write(spec, tensors.__getitem__, model.embed_tokens.weight.dtype, tokenizer_folder, out)


def convert(
    source: Path, out: Path, dtype: torch.dtype | None = None, tokenizer_folder: Path | None = None
) -> ModelSpec:
    """Write the model folder ``source`` as ``out``, as ``export`` does, without holding it in memory.

    ``dtype`` None keeps the type of the input table; without ``tokenizer_folder`` the tokenizer is ``source``'s.
    Raises InputError as ``load`` and ``export`` do.
    """
    spec, stored = open_model(source)
    shapes = tensor_shapes(spec)

    def read(name: str) -> Tensor:
        return stored.read(name, shapes[name])

    _write(spec, read, dtype or read(_TABLE).dtype, tokenizer_folder or source, out)
    return spec


def load(
    path: Path,
    dtype: torch.dtype | None = torch.float32,
    weights: WeightFormat = WeightFormat.STORED,
    device: torch.device | None = None,
) -> tuple[Transformer, ModelSpec]:
    """Read a model folder into memory, onto ``device`` if one is given; ``dtype`` None keeps the stored type.

    With weights in 8 or 4 bits each matrix is quantised as it comes, so that only one is ever there whole; what else
    there is should be bfloat16, as the products then take nothing else. Raises InputError, one line that names the
    file: missing, truncated, a tensor missing or of the wrong shape, an architecture that is not ours.
    """
    spec, stored = open_model(path)
    with torch.device("meta"):
        model = Transformer(spec)
    quantised = weights is not WeightFormat.STORED
    state = {}
    with progress(f"loading the weights{f' as {weights}' if quantised else ''}", spec.params, "parameters") as work:
        for name, shape in tensor_shapes(spec).items():
            tensor = stored.read(name, shape)
            own_name = name.removeprefix("model.")
            module = model.get_submodule(own_name.rpartition(".")[0])
            if quantised and tensor.ndim == 2 and isinstance(module, Linear):
                module.quantize(tensor.to(device, dtype), weights.head if name == _HEAD else weights.layers)
            else:
                # A copy: the file is mapped no longer than it is read.
                state[own_name] = tensor.to(device, dtype, copy=True)
            work.advance(tensor.numel())
        model.load_state_dict(state, strict=False, assign=True)
        model.tie()
        if quantised and spec.tied:
            model.lm_head.quantize(model.embed_tokens.weight, weights.head)
    return model.eval(), spec


def converted_types(source: Path, written: Path) -> dict[str, int]:
    """How many tensors of ``source`` have each type that ``written``, the same model, has none of, by safetensors'
    names: a folder is written in one type."""
    kept = Weights(written).types
    return {name: count for name, count in Weights(source).types.items() if name not in kept}


def stored_type(path: Path) -> torch.dtype:
    """The type that most tensors of the folder ``path`` have. Raises InputError as ``Weights``."""
    [(name, _)] = Weights(path).types.most_common(1)
    return TYPES[name]


class Stored(Protocol):
    """A folder's tensors by Llama's names."""

    def read(self, name: str, shape: Sequence[int]) -> Tensor:
        """The tensor, of this shape; raises InputError that says what is wrong with it."""


def open_model(path: Path) -> tuple[ModelSpec, Stored]:
    """Shape and weights of the folder ``path``, each stored tensor of which is one of the shape's.

    A head that is stored beside tied tables and differs from the input table makes the model an untied one, as
    transformers has it. Raises InputError as ``read_spec`` and ``Weights`` do, and for tensors missing or unasked for.
    """
    spec, weights = read_spec(path), Weights(path)
    if spec.n_layers > len(weights):
        raise InputError(f"{path / 'config.json'}: {spec.n_layers} layers, but only {len(weights)} tensors are stored")
    packed = read_json(path, "config.json")["model_type"] == "internlm2"
    stored: Stored = InternLM2Weights(weights, spec) if packed else weights
    stored_name = InternLM2Weights.stored_name if packed else str
    wanted = [stored_name(name) for name in tensor_shapes(spec)]
    head = stored_name(_HEAD)
    if spec.tied and head in weights:
        shape = (spec.vocab_size, spec.d_model)
        wanted.append(head)
        if not torch.equal(stored.read(_HEAD, shape), stored.read(_TABLE, shape)):
            spec = replace(spec, tied=False)
    weights.check_names(wanted)
    return spec, stored


def tensor_shapes(spec: ModelSpec) -> dict[str, torch.Size]:
    """Shape of each tensor that a folder of this model stores, by its name there."""
    with torch.device("meta"):
        model = Transformer(spec)
    shapes = {_stored_name(name): tensor.shape for name, tensor in model.state_dict().items()}
    if spec.tied:
        del shapes[_HEAD]
    return shapes


def special_ids(tokenizer_folder: Path, spec: ModelSpec) -> dict[str, Any]:
    """``eos_token_id``, one or all that the folder's files name, often several; and ``bos_token_id`` and
    ``pad_token_id`` where the tokenizer names such tokens.

    Raises InputError if nothing ends an answer, or the tokenizer has more entries than the model has rows.
    """
    from shosei.text.foreign import token_ids  # with all that reads text, which an engine has no use for
    from shosei.text.generation import end_ids, token_text

    ids = token_ids(read_json(tokenizer_folder, "tokenizer.json"))
    largest = max(ids.values(), default=0)
    if largest >= spec.vocab_size:
        raise InputError(
            f"{tokenizer_folder / 'tokenizer.json'}: id {largest} has no row in the model's {spec.vocab_size}; take "
            "the tokenizer that the model was trained with"
        )
    names = read_json(tokenizer_folder, "tokenizer_config.json")
    ends = end_ids(tokenizer_folder, ids) or [ids[name] for name in ("<|im_end|>",) if name in ids]
    special: dict[str, Any] = {
        f"{kind}_token_id": ids.get(token_text(names.get(f"{kind}_token"))) for kind in ("bos", "pad")
    }
    if not ends:
        raise InputError(f"{tokenizer_folder / 'tokenizer_config.json'} names no eos_token of the tokenizer's")
    special["eos_token_id"] = ends if ends[1:] else ends[0]
    return {name: value for name, value in special.items() if value is not None}


def _write(
    spec: ModelSpec, read: Callable[[str], Tensor], dtype: torch.dtype, tokenizer_folder: Path, out: Path
) -> None:
    from shosei.text.generation import sampling_defaults

    ids = special_ids(tokenizer_folder, spec)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as folder:
        folder.mkdir()
        for name in _TOKENIZER_FILES:
            if (tokenizer_folder / name).is_file():
                (folder / name).parent.mkdir(exist_ok=True)
                shutil.copy(tokenizer_folder / name, folder / name)
        write_json(folder / "config.json", to_config(spec, str(dtype).removeprefix("torch."), ids))
        write_json(folder / "generation_config.json", {"do_sample": False} | sampling_defaults(tokenizer_folder) | ids)
        write(folder, tensor_shapes(spec), read, dtype)


def _stored_name(name: str) -> str:
    return name if name.startswith("lm_head.") else f"model.{name}"
