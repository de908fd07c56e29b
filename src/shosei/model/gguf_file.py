"""A model as one GGUF file, llama.cpp's format."""

from __future__ import annotations

import errno
import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf import GGUFWriter, LlamaFileType, RopeScalingType
from numpy.typing import NDArray
from torch import Tensor

from shosei.errors import InputError
from shosei.files import atomic_path
from shosei.model.folder import open_model, tensor_shapes
from shosei.model.gguf_vocabulary import add_vocabulary
from shosei.model.licence import stated_licence
from shosei.progress import progress
from shosei.spec import ModelSpec
from shosei.spec.rope import LinearScaling, Llama3Scaling, YarnScaling

FILE_TYPES = {
    "f32": LlamaFileType.ALL_F32,
    "bf16": LlamaFileType.MOSTLY_BF16,
    "q8_0": LlamaFileType.MOSTLY_Q8_0,
    "q4_0": LlamaFileType.MOSTLY_Q4_0,
}
_TABLES = ("model.embed_tokens.weight", "lm_head.weight")
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write(source: Path, out: Path, kind: str, licence: str | None = None) -> list[str]:
    """Write the model folder ``source`` as the file ``out``, whole or not at all; one tensor in memory at a time.

    ``kind`` (a key of ``FILE_TYPES``) is the type of the matrices; norms and biases stay float32, as llama.cpp has
    them. With q4_0 the tables are q8_0: they lose most. ``licence`` None: what the folder states.

    Returns what llama.cpp does otherwise, for the user to know. Raises InputError as ``folder.load`` does, and for a
    tokenizer or RoPE scaling that llama.cpp would read otherwise.
    """
    spec, stored = open_model(source)
    shapes = tensor_shapes(spec)
    types = {name: _type(name, shape, kind) for name, shape in shapes.items()}
    divisors = _rope_divisors(spec)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as file:
        writer = GGUFWriter(file, _architecture(spec))
        try:
            _add_shape(writer, spec)
            if licence := licence or stated_licence(source):
                writer.add_license(licence)
            writer.add_file_type(FILE_TYPES[kind])
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
            _add_rope(writer, spec)
            notes = add_vocabulary(writer, source, spec)
            if divisors is not None:
                writer.add_tensor_info("rope_freqs.weight", divisors.shape, divisors.dtype, divisors.nbytes)
            for name, shape in shapes.items():
                values, size = gguf.GGML_QUANT_SIZES[types[name]]
                stored_bytes = math.prod(shape) // values * size
                writer.add_tensor_info(gguf_name(name), shape, np.dtype(np.float32), stored_bytes, types[name])
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            if divisors is not None:
                _write_data(writer, divisors)
            with progress(f"writing the weights as {kind}", spec.params, "parameters") as work:
                for name, shape in shapes.items():
                    tensor = _as_llama_cpp_has_it(name, stored.read(name, shape), spec)
                    _write_data(writer, gguf.quantize(tensor.float().contiguous().numpy(), types[name]))
                    work.advance(tensor.numel())
        finally:
            writer.close()
    return notes


def _write_data(writer: GGUFWriter, values: NDArray[Any]) -> None:
    try:
        writer.write_tensor_data(values)
    except OSError as error:
        if error.errno is None:  # numpy says only that it wrote less than it was asked to, as on a full disk
            raise OSError(errno.ENOSPC, str(error)) from None
        raise


def _add_shape(writer: GGUFWriter, spec: ModelSpec) -> None:
    writer.add_name(spec.name)
    writer.add_vocab_size(spec.vocab_size)
    writer.add_context_length(spec.context_length)
    writer.add_embedding_length(spec.d_model)
    writer.add_block_count(spec.n_layers)
    writer.add_feed_forward_length(spec.intermediate_size)
    writer.add_head_count(spec.n_heads)
    writer.add_head_count_kv(spec.n_kv_heads)
    writer.add_key_length(spec.head_dim)
    writer.add_value_length(spec.head_dim)
    writer.add_layer_norm_rms_eps(spec.norm_eps)


def _architecture(spec: ModelSpec) -> str:
    """Of llama.cpp's: ``llama`` takes biases, any head size and Llama 3's RoPE, ``qwen2`` none of them."""
    if spec.qk_norm:
        return "qwen3"
    whole = spec.n_heads * spec.head_dim == spec.d_model
    is_qwen2 = spec.qkv_bias and not spec.bias and whole and not isinstance(spec.rope_scaling, Llama3Scaling)
    return "qwen2" if is_qwen2 else "llama"


def _add_rope(writer: GGUFWriter, spec: ModelSpec) -> None:
    """Base and scaling. Raises InputError for a YaRN with other settings than llama.cpp's own."""
    writer.add_rope_dimension_count(spec.head_dim)
    writer.add_rope_freq_base(spec.rope_theta)
    scaling = spec.rope_scaling
    if isinstance(scaling, LinearScaling):
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling.factor)
    elif isinstance(scaling, YarnScaling):
        if scaling != YarnScaling(scaling.factor, scaling.original_max_position_embeddings):
            raise InputError(f"{spec.name}: its YaRN is not llama.cpp's; export with --format hf")
        writer.add_rope_scaling_type(RopeScalingType.YARN)
        writer.add_rope_scaling_factor(scaling.factor)
        writer.add_rope_scaling_orig_ctx_len(scaling.original_max_position_embeddings)


def _rope_divisors(spec: ModelSpec) -> NDArray[np.float32] | None:
    """The tensor ``rope_freqs`` of Llama 3's scaling, (head_dim / 2,). Raises InputError where it is not read."""
    if not isinstance(spec.rope_scaling, Llama3Scaling):
        return None
    if _architecture(spec) != "llama":
        raise InputError(f"{spec.name}: llama.cpp has no Llama 3 RoPE for this architecture; export with --format hf")
    return np.array(spec.rope_scaling.divisors(spec.rope_theta, spec.head_dim), np.float32)


def _type(name: str, shape: torch.Size, kind: str) -> Type:
    if len(shape) == 1:
        return Type.F32
    chosen = Type.Q8_0 if kind == "q4_0" and name in _TABLES else Type[kind.upper()]
    # A row is a whole number of blocks, or else keeps its precision.
    return chosen if shape[-1] % gguf.GGML_QUANT_SIZES[chosen][0] == 0 else Type.BF16


def gguf_name(name: str) -> str:
    """What llama.cpp calls the tensor that Llama's folders call ``name``."""
    module, _, kind = name.rpartition(".")
    if not module.startswith("model.layers."):
        return f"{_NAMES[module]}.{kind}"
    layer, _, part = module.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{_NAMES[part]}.{kind}"


def _as_llama_cpp_has_it(name: str, tensor: Tensor, spec: ModelSpec) -> Tensor:
    """llama.cpp rotates neighbours where its architecture is ``llama``: of each head's rows, i and i + head_dim / 2,
    which RoPE pairs, are brought together. In Qwen's they stay in halves."""
    if _architecture(spec) != "llama" or not any(part in name for part in ("q_proj", "k_proj")):
        return tensor
    pairs = tensor.view(-1, 2, spec.head_dim // 2, *tensor.shape[1:]).transpose(1, 2)
    return pairs.reshape(tensor.shape)
