"""InternLM2 from its published definition: packed ``wqkv``, its own names. transformers has no such class."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from model_samples import ROWS, save_tokenizer
from shosei.model import folder
from verb import Shosei

pytestmark = pytest.mark.usefixtures("in_one_process")

WIDTH, LAYERS, HEADS, KV, HIDDEN, EPS, THETA = 256, 2, 8, 2, 512, 1e-5, 1e6  # InternLM2 1.8B's at an eighth
SIZE = WIDTH // HEADS


def tensors() -> dict[str, Tensor]:
    torch.manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        "model.tok_embeddings.weight": (ROWS, WIDTH),
        "model.norm.weight": (WIDTH,),
        "output.weight": (ROWS, WIDTH),
    }
    for layer in range(LAYERS):
        shapes |= {
            f"model.layers.{layer}.attention.wqkv.weight": ((HEADS + 2 * KV) * SIZE, WIDTH),
            f"model.layers.{layer}.attention.wo.weight": (WIDTH, WIDTH),
            f"model.layers.{layer}.attention_norm.weight": (WIDTH,),
            f"model.layers.{layer}.ffn_norm.weight": (WIDTH,),
            f"model.layers.{layer}.feed_forward.w1.weight": (HIDDEN, WIDTH),
            f"model.layers.{layer}.feed_forward.w2.weight": (WIDTH, HIDDEN),
            f"model.layers.{layer}.feed_forward.w3.weight": (HIDDEN, WIDTH),
        }
    return {name: 0.5 * (len(shape) == 1) + 0.1 * torch.randn(shape) for name, shape in shapes.items()}


def norm(x: Tensor, weight: Tensor) -> Tensor:
    return weight * x / (x.pow(2).mean(-1, keepdim=True) + EPS).sqrt()


def turn(x: Tensor) -> Tensor:
    """RoPE over (T, heads, SIZE): the two halves of a head are the parts of complex numbers."""
    frequencies = THETA ** -(torch.arange(0, SIZE, 2) / SIZE)
    angles = torch.polar(torch.ones(()), torch.outer(torch.arange(len(x)).float(), frequencies))[:, None]
    turned = torch.complex(x[..., : SIZE // 2].contiguous(), x[..., SIZE // 2 :].contiguous()) * angles
    return torch.cat((turned.real, turned.imag), -1)


def internlm2(weights: dict[str, Tensor], ids: Tensor) -> Tensor:
    """Logits (T, ROWS). Of each KV head's group in ``wqkv`` the last two are key and value, the others queries."""
    x = weights["model.tok_embeddings.weight"][ids]
    for layer in range(LAYERS):
        own = {name.split(".", 3)[3]: value for name, value in weights.items() if f"layers.{layer}." in name}
        groups = (norm(x, own["attention_norm.weight"]) @ own["attention.wqkv.weight"].T).view(len(ids), KV, -1, SIZE)
        queries, key, value = groups[:, :, :-2], groups[:, :, -2], groups[:, :, -1]
        q, k = turn(queries.flatten(1, 2)).view_as(queries), turn(key)
        scores = torch.einsum("tkgd,skd->kgts", q, k) / SIZE**0.5
        scores = scores.masked_fill(torch.ones(len(ids), len(ids)).triu(1).bool(), -torch.inf)
        mixed = torch.einsum("kgts,skd->tkgd", scores.softmax(-1), value).flatten(1)
        x = x + mixed @ own["attention.wo.weight"].T
        y = norm(x, own["ffn_norm.weight"])
        gate = F.silu(y @ own["feed_forward.w1.weight"].T)
        x = x + (gate * (y @ own["feed_forward.w3.weight"].T)) @ own["feed_forward.w2.weight"].T
    return norm(x, weights["model.norm.weight"]) @ weights["output.weight"].T


def test_an_imported_internlm2_computes_its_definition(tmp_path: Path, shosei: Shosei) -> None:
    theirs = save_tokenizer(tmp_path / "theirs")
    weights = tensors()
    save_file(weights, theirs / "model.safetensors")
    config = {
        "architectures": ["InternLM2ForCausalLM"],
        "model_type": "internlm2",
        "auto_map": {"AutoConfig": "code.py"},
        "vocab_size": ROWS,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "intermediate_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV,
        "rms_norm_eps": EPS,
        "rope_theta": THETA,
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
        "max_position_embeddings": 512,
        "bias": False,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    }
    (theirs / "config.json").write_text(json.dumps(config))
    assert shosei("import", theirs, "--out", tmp_path / "run")[0] == 0
    ids = torch.randint(0, ROWS, (60,))
    for path in (theirs, tmp_path / "run/model"):
        ours, _ = folder.load(path)
        with torch.no_grad():
            assert (ours.logits(ours(ids[None]))[0] - internlm2(weights, ids)).abs().max() < 1e-4
