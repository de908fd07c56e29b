"""RoPE inside a GGUF file, as llama.cpp computes it."""

from __future__ import annotations

import numpy as np
from gguf import GGUFWriter, RopeScalingType
from numpy.typing import NDArray

from shosei.errors import InputError
from shosei.spec import ModelSpec
from shosei.spec.rope import LinearScaling, Llama3Scaling, YarnScaling


def architecture(spec: ModelSpec) -> str:
    """llama.cpp's ``llama`` takes biases and any head size; its ``qwen2`` only heads that divide the width."""
    return "qwen3" if spec.qk_norm else "llama"


def add_rope(writer: GGUFWriter, spec: ModelSpec) -> None:
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


def rope_divisors(spec: ModelSpec) -> NDArray[np.float32] | None:
    """The tensor ``rope_freqs`` of Llama 3's scaling, (head_dim / 2,). Raises InputError where it is not read."""
    if not isinstance(spec.rope_scaling, Llama3Scaling):
        return None
    if architecture(spec) != "llama":
        raise InputError(f"{spec.name}: llama.cpp has no Llama 3 RoPE for this architecture; export with --format hf")
    return np.array(spec.rope_scaling.divisors(spec.rope_theta, spec.head_dim), np.float32)
