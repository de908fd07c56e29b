"""What llama.cpp computes from a GGUF file, and models of each kind that one can hold."""

from __future__ import annotations

import math
from dataclasses import replace

import gguf
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model_samples import reduced
from shosei.spec.rope import LinearScaling, Llama3Scaling, YarnScaling

NANO = replace(reduced("nano"), d_model=64, intermediate_size=96)
SHAPES = {
    "grouped, tied": NANO,
    "one KV head, untied, biased": replace(NANO, n_kv_heads=1, tied=False, qkv_bias=True, bias=True),
    "qwen2": replace(NANO, qkv_bias=True, head_dim=16),
    "qwen2, wide heads": replace(NANO, qkv_bias=True),
    "qwen3": replace(NANO, qk_norm=True),
    "linear": replace(NANO, rope_scaling=LinearScaling(3.0)),
    "llama3": replace(NANO, rope_scaling=Llama3Scaling(8.0, 1.0, 4.0, 24)),
    "yarn": replace(NANO, rope_scaling=YarnScaling(4.0, 16), qk_norm=True),
}


def tensors(reader: gguf.GGUFReader) -> dict[str, Tensor]:
    return {
        tensor.name: torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type)))
        for tensor in reader.tensors
    }


def field(reader: gguf.GGUFReader, name: str) -> object:
    found = reader.get_field(name)
    assert found is not None, name
    return found.contents()


def number(reader: gguf.GGUFReader, name: str, default: float | None = None) -> float:
    """A number that the architecture's keys have; ``default`` where the file says nothing."""
    if default is not None and reader.get_field(f"{field(reader, 'general.architecture')}.{name}") is None:
        return default
    value = field(reader, f"{field(reader, 'general.architecture')}.{name}")
    assert isinstance(value, int | float)
    return value


def rotate(x: Tensor, reader: gguf.GGUFReader) -> Tensor:
    """RoPE as llama.cpp has it (``rope_yarn``), over (T, heads, head_dim): pairs of neighbours in ``llama``, else
    halves."""
    kind, half = field(reader, "general.architecture"), x.shape[-1] // 2
    theta = number(reader, "rope.freq_base")
    scale, ramp, magnitude = 1 / number(reader, "rope.scaling.factor", 1.0), torch.zeros(half), 1.0
    if reader.get_field(f"{kind}.rope.scaling.original_context_length"):
        context = number(reader, "rope.scaling.original_context_length")
        start, end = (half * math.log(context / (turns * 2 * math.pi)) / math.log(theta) for turns in (32, 1))
        start, end = max(0, math.floor(start)), min(2 * half - 1, math.ceil(end))
        ramp = 1 - ((torch.arange(half) - start) / max(0.001, end - start)).clamp(0, 1)
        magnitude = 1 + 0.1 * math.log(1 / scale)
    angles = torch.arange(len(x))[:, None, None] * theta ** -(torch.arange(half) / half)
    angles = angles / tensors(reader).get("rope_freqs.weight", torch.ones(half))
    angles = scale * angles * (1 - ramp) + angles * ramp
    cos, sin = angles.cos() * magnitude, angles.sin() * magnitude
    first, second = (x[..., 0::2], x[..., 1::2]) if kind == "llama" else (x[..., :half], x[..., half:])
    turned = first * cos - second * sin, first * sin + second * cos
    return torch.stack(turned, -1).flatten(-2) if kind == "llama" else torch.cat(turned, -1)


def logits(reader: gguf.GGUFReader, ids: Tensor) -> Tensor:
    """The graph of llama.cpp for these architectures, from the file alone."""
    w = tensors(reader)
    eps, size = number(reader, "attention.layer_norm_rms_epsilon"), int(number(reader, "attention.key_length"))

    def norm(x: Tensor, name: str) -> Tensor:
        weight = w.get(f"{name}.weight")
        return x if weight is None else F.rms_norm(x, weight.shape, weight, eps)

    def product(x: Tensor, name: str) -> Tensor:
        return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    x = w["token_embd.weight"][ids]
    for layer in range(int(number(reader, "block_count"))):
        at = f"blk.{layer}"
        y = norm(x, f"{at}.attn_norm")
        q, k, v = (product(y, f"{at}.attn_{part}").unflatten(-1, (-1, size)) for part in "qkv")
        q, k = norm(q, f"{at}.attn_q_norm"), norm(k, f"{at}.attn_k_norm")
        q, k = rotate(q, reader), rotate(k, reader)
        heads = [part.transpose(0, 1)[None] for part in (q, k, v)]
        y = F.scaled_dot_product_attention(*heads, is_causal=True, enable_gqa=True)[0].transpose(0, 1).flatten(1)
        x = x + product(y, f"{at}.attn_output")
        y = norm(x, f"{at}.ffn_norm")
        x = x + product(F.silu(product(y, f"{at}.ffn_gate")) * product(y, f"{at}.ffn_up"), f"{at}.ffn_down")
    return F.linear(norm(x, "output_norm"), w.get("output.weight", w["token_embd.weight"]))
