"""What a training run is told, every field documented."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shosei.config import Config
from shosei.data.config import TooLong

Decay = Annotated[float, Field(ge=0, lt=1)]


class TrainConfig(Config):
    """Table ``[train]`` of the configuration. The defaults are the recipe of the ``nano`` preset."""

    preset: str = Field("nano", description="Model to train: a name of `shosei models`, or a shape's file, *.toml.")
    init: str = Field("", description="Model folder to go on from, instead of the preset's random weights.")
    epochs: int = Field(3, ge=1, description="Passes over the training data; with the batch size this fixes the steps.")
    max_steps: int = Field(0, ge=0, description="Optimiser steps, in as many epochs as they take; 0: `epochs` decides.")
    batch_size: int = Field(64, ge=1, description="Examples, or rows of text, in one optimiser step at most.")
    batch_tokens: int = Field(2048, ge=1, description="Token ids in one optimiser step at most, padding included.")
    too_long: TooLong = Field(
        "cut",
        description="What becomes of dialogues that the model cannot read whole: cut, split (between questions), drop.",
    )
    strict: bool = Field(False, description="Stop at a row that cannot be used; otherwise it is counted and left out.")
    sequence: int = Field(512, ge=1, description="Tokens of a row of text; documents are packed into such rows.")
    seed: int = Field(1, ge=0, lt=1 << 63, description="Seeds the initial weights and the order of the examples.")

    optimizer: Literal["muon", "adamw"] = Field(
        "muon", description="Of the layers' matrices. Embedding, head and norms are AdamW's in either case."
    )
    matrix_lr: float = Field(0.0013, gt=0, description="Peak learning rate of the matrices, in AdamW's scale.")
    table_lr: float = Field(0.022, gt=0, description="Peak learning rate of embedding, head and norms.")
    momentum: float = Field(0.95, ge=0, lt=1, description="Muon's momentum.")
    betas: tuple[Decay, Decay] = Field((0.9, 0.95), description="AdamW's moment decays.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled decay of the matrices; tables and norms have none.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this global norm.")

    lora_rank: int = Field(
        0,
        ge=0,
        description="Train adapters of this rank beside init's matrices (LoRA), at matrix_lr: about ten times what "
        "training every weight takes, such as 1e-3. 0 trains every weight.",
    )
    lora_alpha: float = Field(16.0, gt=0, description="Adapters count alpha / rank times.")

    warmup: float = Field(0.02, ge=0, le=1, description="Share of the steps in which the rate rises linearly.")
    decay: float = Field(0.35, ge=0, le=1, description="Share of the steps in which the rate falls linearly.")
    final_lr: float = Field(0.0, ge=0, le=1, description="Share of the peak rate that the decay ends at.")

    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="Of the products; weights stay float32. auto: bfloat16 where the processor computes in it."
    )
    checkpointing: bool = Field(
        False, description="Keep only each block's input and compute the rest again: less memory, a third more work."
    )
    threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="Compute threads; 0 takes the cores this process may use. A run keeps to them when it goes on.",
    )
    checkpoint_steps: int = Field(500, ge=1, description="Steps between checkpoints; each epoch also ends with one.")
    keep_checkpoints: int = Field(2, ge=1, description="Newest checkpoints to keep.")
