"""K-quants, whose bytes are made by hand: gguf writes none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader
from numpy.typing import NDArray

from gguf_samples import rewritten
from llama_cpp import NANO, logits
from model_samples import ROWS, random_model, save_tokenizer
from shosei.model import folder, gguf_file
from verb import Shosei

pytestmark = pytest.mark.usefixtures("in_one_process")

WIDTH = 256
SPEC = replace(NANO, d_model=WIDTH, intermediate_size=WIDTH)
# Where a block of 256 values has its scales in half precision, as ggml-common.h lays it out.
SCALES = {Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}
MATRICES = ("blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.1.ffn_down.weight")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole")
    folder.export(random_model(SPEC), SPEC, save_tokenizer(path / "tokenizer", ROWS - 20), path / "model")
    gguf_file.write(path / "model", path / "model.gguf", "f32")
    return path / "model.gguf"


def blocks(kind: Type, rows: int) -> NDArray[np.uint8]:
    """Any bytes, with small scales: a row is one block."""
    data = np.random.default_rng(0).integers(0, 256, (rows, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8)
    for at in SCALES.get(kind, []):
        data[:, at : at + 2] = np.frombuffer(np.float16(0.002).tobytes(), np.uint8)
    return data


def half(block: NDArray[np.uint8], at: int) -> float:
    return float(np.frombuffer(block[at : at + 2].tobytes(), np.float16)[0])


def q4_k(block: NDArray[np.uint8]) -> list[float]:
    """``dequantize_row_q4_K`` of ggml-quants.c, a value at a time."""
    packed, nibbles = [int(byte) for byte in block[4:16]], [int(byte) for byte in block[16:]]
    values = []
    for group in range(8):
        if group < 4:
            scale, least = packed[group] & 63, packed[group + 4] & 63
        else:
            scale = packed[group + 4] & 15 | packed[group - 4] >> 6 << 4
            least = packed[group + 4] >> 4 | packed[group] >> 6 << 4
        for byte in nibbles[group // 2 * 32 : group // 2 * 32 + 32]:
            number = byte >> 4 if group % 2 else byte & 15
            values.append(half(block, 0) * scale * number - half(block, 2) * least)
    return values


def q6_k(block: NDArray[np.uint8]) -> list[float]:
    """``dequantize_row_q6_K``, likewise."""
    values = []
    for place in range(256):
        part, row, column = place // 128, place % 128 // 32, place % 32
        low = int(block[part * 64 + row % 2 * 32 + column]) >> (row // 2 * 4) & 15
        high = int(block[128 + part * 32 + column]) >> (2 * row) & 3
        scale = int(block[192 + place // 16].astype(np.int8))
        values.append(half(block, 208) * scale * ((low | high << 4) - 32))
    return values


BY_HAND: dict[Type, Callable[[Any], list[float]]] = {Type.Q4_K: q4_k, Type.Q6_K: q6_k}


@pytest.mark.parametrize("kind", SCALES, ids=lambda kind: kind.name)
def test_k_quants_compute_what_llama_cpp_computes(kind: Type, whole: Path, tmp_path: Path, shosei: Shosei) -> None:
    rows = {tensor.name: len(tensor.data) for tensor in GGUFReader(whole).tensors}
    raw = {name: blocks(kind, rows[name]) for name in MATRICES}
    file = rewritten(whole, tmp_path / "theirs.gguf", kind, raw)
    code, _, err = shosei("import", file, "--out", tmp_path / "run")
    assert code == 0, err
    made, _ = folder.load(tmp_path / "run/model")
    state = made.state_dict()
    ours = state["layers.0.self_attn.v_proj.weight"].numpy()
    assert np.array_equal(ours, gguf.dequantize(raw["blk.0.attn_v.weight"], kind))
    if kind in BY_HAND:
        for row, block in zip(ours[:4], raw["blk.0.attn_v.weight"], strict=False):
            assert np.allclose(row, BY_HAND[kind](block), rtol=1e-5, atol=1e-7)
    ids = torch.randint(0, ROWS, (30,))
    with torch.no_grad():
        assert (made.logits(made(ids[None]))[0] - logits(GGUFReader(file), ids)).abs().max() < 1e-3


@pytest.mark.parametrize("kind", [Type.Q8_K, Type.I8], ids=lambda kind: kind.name)
def test_a_type_that_cannot_be_read_is_named(kind: Type, whole: Path, tmp_path: Path, shosei: Shosei) -> None:
    values, size = gguf.GGML_QUANT_SIZES[kind]
    rows = {tensor.name: len(tensor.data) for tensor in GGUFReader(whole).tensors}
    raw = {MATRICES[0]: np.zeros((rows[MATRICES[0]], WIDTH // values * size), np.uint8)}
    file = rewritten(whole, tmp_path / "theirs.gguf", kind, raw)
    code, _, err = shosei("import", file, "--out", tmp_path / "run")
    assert (code, err.count("\n")) == (2, 1)
    assert f"{kind.name} of {MATRICES[0]} cannot be read; take a file of another type" in err
