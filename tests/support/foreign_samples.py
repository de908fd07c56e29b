"""Model folders as transformers writes them: small, random, with a tokenizer beside the weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from model_samples import ROWS, save_tokenizer

TINY = {
    "vocab_size": ROWS,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "intermediate_size": 80,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rope_theta": 50_000.0,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-4,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}


def save(kind: str, path: Path, max_shard_size: str = "5GB", **settings: object) -> PreTrainedModel:
    """A random model of transformers', every weight of which matters, with a tokenizer beside it."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(TINY | settings))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(mean=0.5 if parameter.ndim == 1 else 0.0, std=0.15)
    model.save_pretrained(path, max_shard_size=max_shard_size)
    save_tokenizer(path)
    return model


def edit(file: Path, **values: object) -> None:
    """Replace keys of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
