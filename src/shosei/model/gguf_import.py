"""A GGUF file of others', unpacked into a Hugging Face folder, which is then read like any other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from shosei.errors import InputError
from shosei.model.folder import tensor_shapes
from shosei.model.gguf_file import gguf_name
from shosei.model.gguf_header import check_header
from shosei.model.gguf_tokenizer import write_tokenizer
from shosei.model.hf_config import ARCHITECTURES, read_spec
from shosei.model.hf_files import write_json
from shosei.model.licence import CARD, is_identifier
from shosei.model.weights import write
from shosei.spec.rope import Llama3Scaling

# llama.cpp's architectures; those that rotate neighbours have the rows of queries and keys rearranged for it.
_NEIGHBOURS = ("llama", "internlm2")
_SUPPORTED = (*_NEIGHBOURS, "qwen2", "qwen3")
_DIVISORS = "rope_freqs.weight"
# Keys of a scaling that say nothing, or what is read here.
_SCALING_KEYS = ("type", "factor", "original_context_length", "finetuned")
# Settings that change what a model computes, and are not computed here.
_REFUSED = ("expert_count", "attention.sliding_window", "attention.scale", "logit_scale", "embedding_scale")


def unpack_description(values: Values, folder: Path) -> None:
    """Write config, tokenizer and licence into ``folder``. Text is divided as llama.cpp divides it, which normalises
    none.

    Raises InputError, one line that names the file: a setting or a tokenizer that is not computed here.
    """
    write_json(folder / "config.json", _config(values))
    write_tokenizer(values, folder)
    _write_licence(values, folder)


def unpack_weights(values: Values, folder: Path) -> None:
    """Write the weights exactly, as float32, beside what ``unpack_description`` has written. Every tensor of the file
    is used; raises InputError that names it otherwise."""
    spec = read_spec(folder)
    shapes = tensor_shapes(spec)
    wanted = {gguf_name(name) for name in shapes} | {_DIVISORS}
    if unused := sorted(values.tensors.keys() - wanted):
        raise values.error(f"tensor {unused[0]} is not one of this architecture's here; the model is not supported")

    def read(name: str) -> Tensor:
        tensor = values.tensor(gguf_name(name))
        if tensor.numel() != math.prod(shapes[name]) or tensor.shape[0] != shapes[name][0]:
            raise values.error(
                f"{gguf_name(name)} is {list(tensor.shape)}, not {list(shapes[name])}; download it again"
            )
        rearranged = values.architecture in _NEIGHBOURS and ("q_proj" in name or "k_proj" in name)
        return _in_halves(tensor, spec.head_dim) if rearranged else tensor

    write(folder, shapes, read, torch.float32)


class Values:
    """The metadata and the tensors of a GGUF file."""

    def __init__(self, file: Path) -> None:
        """Raises InputError if it is not a whole GGUF file of one of our architectures."""
        self.file = file
        try:
            check_header(file)
            reader = gguf.GGUFReader(file)
            self.fields = {name: field.contents() for name, field in reader.fields.items()}
        except Exception as error:  # of whatever kind: the reader trusts what it reads
            raise InputError(f"{file} is not a GGUF file, or is damaged ({error}); download it again") from None
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.architecture = str(self.fields.get("general.architecture"))
        if self.architecture not in _SUPPORTED:
            raise self.error(f"architecture {self.architecture} is not supported; these are: {', '.join(_SUPPORTED)}")
        if self.fields.get("split.count", 1) not in (0, 1):
            raise self.error("is one part of several; join them with llama-gguf-split --merge")

    def error(self, what: str) -> InputError:
        return InputError(f"{self.file}: {what}")

    def setting(self, key: str, default: Any = None) -> Any:
        """A value of the architecture's. Raises InputError if it is missing and has no default."""
        value = self.fields.get(f"{self.architecture}.{key}", default)
        if value is None:
            raise self.error(f"{self.architecture}.{key} is missing; download it again")
        return value

    def whole(self, key: str, default: int | None = None) -> int:
        """As ``setting``. Raises InputError for anything but a whole number above 0, such as one for each layer."""
        value = self.setting(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise self.error(f"{self.architecture}.{key} is {_shown(value)}, not one whole number above 0")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """As ``setting``. Raises InputError for anything but a finite number above 0."""
        value = self.setting(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise self.error(f"{self.architecture}.{key} is {_shown(value)}, not one number above 0")
        return float(value)

    def has(self, tensor: str) -> bool:
        return tensor in self.tensors

    def rows(self, tensor: str) -> int:
        return int(self._stored(tensor).shape[-1])

    def tensor(self, name: str) -> Tensor:
        """Dequantised, as float32. Raises InputError if it is missing or of a type that is not read."""
        stored = self._stored(name)
        try:
            return torch.from_numpy(np.array(gguf.dequantize(stored.data, stored.tensor_type), dtype=np.float32))
        except NotImplementedError:
            raise self.error(
                f"{stored.tensor_type.name} of {name} cannot be read; take a file of another type"
            ) from None

    def _stored(self, name: str) -> gguf.ReaderTensor:
        if name not in self.tensors:
            raise self.error(f"tensor {name} is missing; download it again")
        return self.tensors[name]


def _shown(value: Any) -> str:
    """Short enough for a line, whatever the file has."""
    return repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}…"


def _config(values: Values) -> dict[str, Any]:
    """``config.json``, in Hugging Face's words."""
    for key in _REFUSED:
        if values.fields.get(f"{values.architecture}.{key}"):
            raise values.error(f"{key} is not supported")
    heads, width = values.whole("attention.head_count"), values.whole("embedding_length")
    head_dim = values.whole("attention.key_length", width // heads)
    sizes = {head_dim, *(values.whole(key, head_dim) for key in ("attention.value_length", "rope.dimension_count"))}
    if len(sizes) > 1:
        raise values.error("heads whose keys, values and rotated parts differ in size are not supported")
    kind, biased = _kind(values)
    return {
        "architectures": [ARCHITECTURES[kind]],
        "model_type": kind,
        "_name_or_path": str(values.fields.get("general.name") or values.file.stem),
        "vocab_size": values.rows("token_embd.weight"),
        "hidden_size": width,
        "num_hidden_layers": values.whole("block_count"),
        "intermediate_size": values.whole("feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": values.whole("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "tie_word_embeddings": not values.has("output.weight"),
        "rms_norm_eps": values.number("attention.layer_norm_rms_epsilon"),
        "max_position_embeddings": values.whole("context_length"),
        "rope_theta": values.number("rope.freq_base", 10_000.0),
        "rope_scaling": _scaling(values, head_dim),
        "attention_bias": biased,
        "mlp_bias": biased,
    }


def _kind(values: Values) -> tuple[str, bool]:
    """Hugging Face's ``model_type``, and whether all of a layer has biases: llama.cpp's ``llama`` takes any."""
    queries, others = values.has("blk.0.attn_q.bias"), values.has("blk.0.attn_output.bias")
    if values.architecture == "qwen3":
        return "qwen3", False
    return ("qwen2" if queries and not others else "llama"), others


def _scaling(values: Values, head_dim: int) -> dict[str, Any] | None:
    """RoPE's scaling in ``config.json``'s form. Raises InputError for one that is not computed here."""
    prefix = f"{values.architecture}.rope.scaling."
    unknown = [key for key in values.fields if key.startswith(prefix) and key.removeprefix(prefix) not in _SCALING_KEYS]
    kind = values.setting("rope.scaling.type", "none")
    if (legacy := values.number("rope.scale_linear", 1.0)) != 1.0:  # of files older than rope.scaling
        raise values.error(f"rope.scale_linear {legacy:g} is not supported; take a newer file, which has rope.scaling")
    if unknown or kind not in ("none", "linear", "yarn"):
        raise values.error(f"{(unknown or [f'RoPE scaling {kind}'])[0]} is not supported")
    if values.has(_DIVISORS):
        return _llama3(values, head_dim)
    if kind == "none":
        return None
    scaling = {"rope_type": kind, "factor": values.number("rope.scaling.factor")}
    if kind == "yarn":
        scaling["original_max_position_embeddings"] = values.whole("rope.scaling.original_context_length")
    return scaling


def _llama3(values: Values, head_dim: int) -> dict[str, Any]:
    """Llama 3's scaling, of which the file has only what it makes of each frequency. All released models share three of
    its four numbers; the fourth is the largest divisor."""
    divisors = values.tensor(_DIVISORS)
    scaling = Llama3Scaling(float(divisors.max()), 1.0, 4.0, 8192)
    computed = torch.tensor(scaling.divisors(values.number("rope.freq_base", 10_000.0), head_dim))
    if computed.shape != divisors.shape or not torch.allclose(computed.float(), divisors, rtol=1e-4):
        raise values.error(f"{_DIVISORS} is not Llama 3's scaling; no other is supported")
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


def _write_licence(values: Values, folder: Path) -> None:
    """As a card states it; nothing where the file has none that hubs would take."""
    licence = str(values.fields.get("general.license", "")).lower()
    if is_identifier(licence):
        (folder / CARD).write_text(f"---\nlicense: {licence}\n---\n", encoding="utf-8")


def _in_halves(tensor: Tensor, head_dim: int) -> Tensor:
    """The rows of each head from pairs, as llama.cpp rotates them, back to halves; see ``gguf_file``."""
    pairs = tensor.view(-1, head_dim // 2, 2, *tensor.shape[1:]).transpose(1, 2)
    return pairs.reshape(tensor.shape)
