"""A stock model folder of any shape with random weights: as fast, or as slow, as a trained one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from shosei.model import weights
from shosei.model.folder import special_ids, tensor_shapes
from shosei.model.hf_config import to_config
from shosei.model.hf_files import write_json
from shosei.spec import ModelSpec
from shosei.text import Tokenizer


def write_random(spec: ModelSpec, out: Path, text: str) -> None:
    """Write ``out``, in bfloat16 shards of which one is in memory at a time; the tokenizer is trained on ``text``.

    Rows of tokens that are no text are zero, so that it never answers with them: a server would show nothing.
    """
    out.mkdir(parents=True)
    torch.manual_seed(0)
    Tokenizer.train([text], spec.vocab_size).save(out)
    ids = special_ids(out, spec)
    write_json(out / "config.json", to_config(spec, "bfloat16", ids))
    write_json(out / "generation_config.json", {**ids, "do_sample": False})
    shapes = tensor_shapes(spec)
    text_rows = len(json.loads((out / "tokenizer.json").read_text())["model"]["vocab"])

    def read(name: str) -> Tensor:
        if len(shapes[name]) == 1:
            return torch.ones(shapes[name], dtype=torch.bfloat16)
        tensor = torch.empty(shapes[name], dtype=torch.bfloat16).normal_(std=shapes[name][1] ** -0.5)
        if shapes[name][0] == spec.vocab_size:
            tensor[text_rows:] = 0
        return tensor

    weights.write(out, shapes, read, torch.bfloat16)
