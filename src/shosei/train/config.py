"""What a training run is told, every field documented."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shosei.config import Config

Decay = Annotated[float, Field(ge=0, lt=1)]


class TrainConfig(Config):
    """Table ``[train]`` of the configuration. The defaults are the recipe of the ``nano`` preset."""

    preset: str = Field("nano", description="Model to train: a name of `shosei models`, or a shape's file, *.toml.")
    init: str = Field("", description="Model folder to go on from, instead of the preset's random weights.")
    epochs: int = Field(3, ge=1, description="Passes over the training data; with the batch size this fixes the steps.")
    batch_size: int = Field(64, ge=1, description="Examples in one optimiser step.")
    seed: int = Field(1, ge=0, description="Seeds the initial weights and the order of the examples.")

    matrix_lr: float = Field(0.0015, gt=0, description="Peak learning rate of Muon, in AdamW's scale.")
    table_lr: float = Field(0.014, gt=0, description="Peak learning rate of AdamW on embedding, head and norms.")
    momentum: float = Field(0.95, ge=0, lt=1, description="Muon's momentum.")
    betas: tuple[Decay, Decay] = Field((0.9, 0.95), description="AdamW's moment decays.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled decay of the matrices; tables and norms have none.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this global norm.")

    warmup: float = Field(0.02, ge=0, le=1, description="Share of the steps in which the rate rises linearly.")
    decay: float = Field(0.5, ge=0, le=1, description="Share of the steps in which the rate falls linearly.")
    final_lr: float = Field(0.0, ge=0, le=1, description="Share of the peak rate that the decay ends at.")

    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="Of the products; weights stay float32. auto: bfloat16 where the processor computes in it."
    )
    threads: int = Field(0, ge=0, description="Compute threads; 0 takes the cores this process may use.")
    checkpoint_steps: int = Field(500, ge=1, description="Steps between checkpoints; each epoch also ends with one.")
    keep_checkpoints: int = Field(2, ge=1, description="Newest checkpoints to keep.")
