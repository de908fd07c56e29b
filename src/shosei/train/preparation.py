"""What a training reads and computes before it begins, once: for the log's manifest and for the trainer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from shosei.data.batches import training_files
from shosei.errors import InputError
from shosei.files import sha256
from shosei.log import Run
from shosei.model import folder
from shosei.model.device import compute_dtype, gemm_peak
from shosei.progress import progress
from shosei.spec import ModelSpec, preset
from shosei.spec.training import lora_params
from shosei.text import ChatFormat, load_chat
from shosei.train.config import TrainConfig
from shosei.wrong_path import MODEL, wrong_path

# The preset that has no tokenizer of its own: its table has as many rows as the run's tokenizer has entries.
_FOLLOWS_TOKENIZER = "nano"


@dataclass(frozen=True, slots=True)
class Preparation:
    """A training before its first event. ``hashes``: SHA-256 of what it learns from, by name; ``dtype`` of the
    products; ``gemm_flops``: FLOP/s at the GEMM peak of this process."""

    config: TrainConfig
    run: Run
    chat: ChatFormat
    spec: ModelSpec
    hashes: dict[str, str]
    dtype: torch.dtype
    gemm_flops: float

    def manifest(self) -> dict[str, Any]:
        """What ``run.begin`` should say of this training."""
        config, spec = self.config, self.spec
        model = asdict(spec) | {
            "params": spec.params,
            "embedding_params": spec.embedding_params,
            "matmul_params": spec.matmul_params,
            "trained_params": lora_params(spec, config.lora_rank) if config.lora_rank else spec.params,
            "compute_dtype": str(self.dtype).removeprefix("torch."),
        }
        if config.lora_rank:
            model |= {"lora_rank": config.lora_rank, "lora_alpha": config.lora_alpha}
        return {
            "gemm_flops": self.gemm_flops,
            "config": config.model_dump(mode="json"),
            "hashes": self.hashes,
            "seeds": {"train": config.seed},
            "model": model,
        }


def prepare(config: TrainConfig, run: Run) -> Preparation:
    """Read what ``config`` names. Raises InputError if data, tokenizer or preset do not serve."""
    files, chat = training_files(run), load_chat(run.tokenizer)
    spec = shape_of(config, chat.tokenizer.vocab_size)
    if "text:train" in files and config.sequence > spec.context_length:
        raise InputError(
            f"rows of {config.sequence} tokens do not fit into the {spec.context_length} that {spec.name} can read; "
            f"use --set train.sequence={spec.context_length} or less"
        )
    hashes = {name: sha256(path) for name, path in files.items()}
    if config.lora_rank:  # a checkpoint's adapters belong to these weights alone
        hashes["init"] = sha256(*folder.weight_files(Path(config.init)))
    if config.threads:
        torch.set_num_threads(config.threads)
    dtype = compute_dtype(config.dtype)
    with progress("measuring the GEMM peak"):
        peak = gemm_peak(dtype)
    return Preparation(config, run, chat, spec, hashes, dtype, peak)


def shape_of(config: TrainConfig, vocab_size: int) -> ModelSpec:
    """The shape to train, for a tokenizer of ``vocab_size`` entries. Raises InputError as ``prepare`` does."""
    if not config.init:
        if config.lora_rank:
            raise InputError("train.lora_rank adapts a trained model; name its folder with --init")
        return _fit(preset(config.preset), vocab_size)
    if not MODEL.is_at(Path(config.init)):
        raise wrong_path(Path(config.init), MODEL)
    spec, _ = folder.open_model(Path(config.init))
    if vocab_size > spec.vocab_size:
        raise InputError(
            f"the run's tokenizer has {vocab_size} entries, more than the {spec.vocab_size} rows of {config.init}"
        )
    return spec


def _fit(spec: ModelSpec, vocab_size: int) -> ModelSpec:
    """``spec`` for a tokenizer of ``vocab_size`` entries: they must be as many as its rows, but nano takes any."""
    if vocab_size == spec.vocab_size:
        return spec
    if spec.name == _FOLLOWS_TOKENIZER:
        return replace(spec, vocab_size=vocab_size)
    raise InputError(
        f"preset '{spec.name}' has {spec.vocab_size} rows and the run's tokenizer {vocab_size} entries; "
        f"make one with 'shosei tokenizer --vocab-size {spec.vocab_size}'"
    )
