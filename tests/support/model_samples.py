"""Small models with random weights, and a tokenizer for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from shosei.model.hf_config import to_config
from shosei.model.transformer import Transformer
from shosei.spec import PRESETS, ModelSpec
from shosei.text import Tokenizer

TEXTS = [
    "你好，世界。今天天气怎么样？",
    "こんにちは世界。",
    "def main():\n    return 42",
    "user\nassistant\n",
]
ROWS = 320


def reduced(name: str) -> ModelSpec:
    """A preset with its heads and ratios, at an eighth of its width, two layers deep, over a small vocabulary."""
    spec = PRESETS[name]
    return replace(
        spec, d_model=spec.d_model // 8, intermediate_size=spec.intermediate_size // 8, n_layers=2, vocab_size=ROWS
    )


def random_model(spec: ModelSpec, dtype: torch.dtype = torch.float32) -> Transformer:
    """Every weight random, the zero-initialised ones, norms and biases too, so that each of them matters."""
    torch.manual_seed(0)
    model = Transformer(spec).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.normal_(mean=0.5, std=0.2)
            else:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
    return model


def peaked_model(spec: ModelSpec, seed: int) -> Transformer:
    """Every weight random and large, so that one next token is far more probable than the others."""
    torch.manual_seed(seed)
    model = Transformer(spec).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3).add_(1.0 if parameter.ndim == 1 else 0.0)
    return model


def as_llama(model: Transformer, spec: ModelSpec) -> LlamaForCausalLM:
    """The same weights in transformers' class."""
    llama = LlamaForCausalLM(LlamaConfig(**to_config(spec, "float32", {}))).eval()
    state = {name if name.startswith("lm_head") else f"model.{name}": v for name, v in model.state_dict().items()}
    llama.load_state_dict(state)
    return llama


def save_tokenizer(folder: Path, rows: int = ROWS) -> Path:
    Tokenizer.train(TEXTS, rows).save(folder)
    return folder
