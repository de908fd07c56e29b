"""GGUF files, read with gguf's reader and computed as llama.cpp does."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.convert_slow_tokenizer import bytes_to_unicode

from model_samples import ROWS, random_model, reduced, save_tokenizer
from shosei.errors import InputError
from shosei.model import folder, gguf_file
from shosei.spec import ModelSpec
from shosei.spec.rope import LinearScaling, Llama3Scaling, YarnScaling
from shosei.text import Tokenizer

NANO = replace(reduced("nano"), d_model=64, intermediate_size=96)
SHAPES = {
    "grouped, tied": NANO,
    "one KV head, untied, biased": replace(NANO, n_kv_heads=1, tied=False, qkv_bias=True, bias=True),
    "qwen2": replace(NANO, qkv_bias=True),
    "qwen3": replace(NANO, qk_norm=True),
    "linear": replace(NANO, rope_scaling=LinearScaling(3.0)),
    "llama3": replace(NANO, rope_scaling=Llama3Scaling(8.0, 1.0, 4.0, 24)),
    "yarn": replace(NANO, rope_scaling=YarnScaling(4.0, 16), qk_norm=True),
}


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"), ROWS - 20)


def write(spec: ModelSpec, kind: str, tokenizer_folder: Path, path: Path) -> gguf.GGUFReader:
    folder.export(random_model(spec), spec, tokenizer_folder, path / "model")
    gguf_file.write(path / "model", path / "model.gguf", kind)
    return gguf.GGUFReader(path / "model.gguf")


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


@pytest.mark.parametrize("name", SHAPES)
def test_llama_cpps_graph_gives_our_logits(name: str, tokenizer_folder: Path, tmp_path: Path) -> None:
    reader = write(SHAPES[name], "f32", tokenizer_folder, tmp_path)
    ours, _ = folder.load(tmp_path / "model")
    ids = torch.randint(0, ROWS, (50,))
    with torch.no_grad():
        assert (ours.logits(ours(ids[None]))[0] - logits(reader, ids)).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("kind", "block", "bound"),
    # Half a step of the block's scale, itself a half-precision number; q4_0 has no step +8, so there a whole one.
    [("bf16", 1, 2**-8), ("q8_0", 32, 0.5 / 127 + 2**-11), ("q4_0", 32, 1 / 8 + 2**-11)],
)
def test_quantised_values_stay_within_their_steps(
    kind: str, block: int, bound: float, tokenizer_folder: Path, tmp_path: Path
) -> None:
    exact = tensors(write(NANO, "f32", tokenizer_folder, tmp_path))
    reader = write(NANO, kind, tokenizer_folder, tmp_path)
    types = {tensor.name: tensor.tensor_type.name.lower() for tensor in reader.tensors}
    assert types["blk.0.attn_q.weight"] == kind
    assert types["blk.0.attn_norm.weight"] == "f32"
    assert types["token_embd.weight"] == ("q8_0" if kind == "q4_0" else kind)
    for name, values in tensors(reader).items():
        blocks = exact[name].reshape(-1, block if exact[name].ndim == 2 else 1)
        errors = (values.reshape(blocks.shape) - blocks).abs().amax(-1)
        assert (errors <= blocks.abs().amax(-1) * bound).all(), name


def test_the_vocabulary_is_complete(tokenizer_folder: Path, tmp_path: Path) -> None:
    reader = write(NANO, "bf16", tokenizer_folder, tmp_path)
    tokens, types = field(reader, "tokenizer.ggml.tokens"), field(reader, "tokenizer.ggml.token_type")
    assert isinstance(tokens, list)
    assert isinstance(types, list)
    assert len(tokens) == len(types) == ROWS
    end = field(reader, "tokenizer.ggml.eos_token_id")
    assert isinstance(end, int)
    assert tokens[end] == "<|im_end|>"
    assert types[end] == gguf.TokenType.CONTROL
    assert types[-1] == gguf.TokenType.UNUSED
    assert field(reader, "tokenizer.ggml.pre") == "qwen2"
    assert "<|im_start|>" in str(field(reader, "tokenizer.chat_template"))


def test_each_token_of_the_file_has_our_bytes(tokenizer_folder: Path, tmp_path: Path) -> None:
    """As llama.cpp reads them: by GPT-2's table of a character a byte, half characters too."""
    reader, ours = write(NANO, "bf16", tokenizer_folder, tmp_path), Tokenizer.load(tokenizer_folder)
    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    tokens, types = field(reader, "tokenizer.ggml.tokens"), field(reader, "tokenizer.ggml.token_type")
    assert isinstance(tokens, list)
    assert isinstance(types, list)
    normal = [row for row, kind in enumerate(types) if kind == gguf.TokenType.NORMAL]
    assert [bytes(map(byte_of.__getitem__, tokens[row])) for row in normal] == [ours.token_bytes(row) for row in normal]
    assert {ours.token_bytes(row) for row in normal} >= {bytes([byte]) for byte in range(256)}


def test_another_kind_of_tokenizer_is_refused(tokenizer_folder: Path, tmp_path: Path) -> None:
    write(NANO, "bf16", tokenizer_folder, tmp_path)
    file = tmp_path / "model/tokenizer.json"
    file.write_text(file.read_text().replace("?i:'s|'t", "?i:'s"))
    (tmp_path / "model.gguf").unlink()
    with pytest.raises(InputError, match="Qwen2's pattern"):
        gguf_file.write(tmp_path / "model", tmp_path / "model.gguf", "bf16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize(
    "spec",
    [
        replace(NANO, rope_scaling=YarnScaling(4.0, 16, attention_factor=1.0)),
        replace(NANO, rope_scaling=Llama3Scaling(8.0, 1.0, 4.0, 24), qk_norm=True),
    ],
)
def test_a_rope_that_llama_cpp_lacks_is_refused(spec: ModelSpec, tokenizer_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--format hf"):
        write(spec, "bf16", tokenizer_folder, tmp_path)
