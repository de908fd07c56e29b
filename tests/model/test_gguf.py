"""GGUF files, read with gguf's reader and computed as llama.cpp does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import pytest
import torch
from transformers.convert_slow_tokenizer import bytes_to_unicode

from llama_cpp import NANO, SHAPES, field, logits, tensors
from model_samples import ROWS, random_model, save_tokenizer
from shosei.errors import InputError
from shosei.model import folder, gguf_file
from shosei.spec import ModelSpec
from shosei.spec.rope import Llama3Scaling, YarnScaling
from shosei.text import Tokenizer


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"), ROWS - 20)


def write(spec: ModelSpec, kind: str, tokenizer_folder: Path, path: Path) -> gguf.GGUFReader:
    folder.export(random_model(spec), spec, tokenizer_folder, path / "model")
    gguf_file.write(path / "model", path / "model.gguf", kind)
    return gguf.GGUFReader(path / "model.gguf")


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
    with pytest.raises(InputError, match="pre-tokenizer"):
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
