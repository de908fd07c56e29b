"""What it buys to begin at ln V: ``python bench/initial_loss.py RUN`` (a quickstart's, for its rows and tokenizer).

Trains a tied shape of ja-small's width with two layers for STEPS steps, twice from the same random weights: as they
are, and with the table's at a standard deviation of 0.02, as it was before 2026-11-29. Prints the losses on the way,
means of ten steps, and after how many steps each is below LEVELS.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from shosei.data.batches import open_batches, training_files
from shosei.files import sha256
from shosei.log import open_run
from shosei.model.device import compute_dtype
from shosei.model.transformer import Transformer
from shosei.spec import preset
from shosei.text import load_chat
from shosei.train import TrainConfig
from shosei.train.optim import Optimizers, learning_rate_factor
from shosei.train.trainer import learn
from shosei.train.workers import Threads, Workers

STEPS, LEVELS = 80, (6.0, 5.0, 4.0, 3.5, 3.0)


def main() -> None:
    run = open_run(Path(sys.argv[1]))
    for name, std in (("before", 0.02), ("as it is", None)):
        losses = train(run, std)
        steps = {level: next((n for n, loss in enumerate(losses, 1) if loss < level), None) for level in LEVELS}
        means = [sum(losses[start : start + 10]) / 10 for start in range(0, STEPS, 10)]
        print(
            f"{name}: first {losses[0]:.2f}, means of ten {', '.join(f'{mean:.2f}' for mean in means)}; below {steps}"
        )


def train(run: object, table_std: float | None) -> list[float]:
    """The loss of each step."""
    chat = load_chat(run.tokenizer)  # type: ignore[attr-defined]
    spec = replace(preset("ja-small"), vocab_size=chat.tokenizer.vocab_size, n_layers=2, intermediate_size=2048)
    config = TrainConfig(optimizer="adamw", matrix_lr=1e-3, table_lr=1e-3)
    torch.manual_seed(0)
    model = Transformer(spec)
    if table_std is not None:
        with torch.no_grad():
            model.embed_tokens.weight *= table_std / model.embed_tokens.weight.std()
    hashes = {name: sha256(path) for name, path in training_files(run).items()}  # type: ignore[arg-type]
    batches, _ = open_batches(run, chat, hashes, batch_size=64, batch_tokens=2048, sequence=512, seed=0, context=512)  # type: ignore[arg-type]
    workers, optimizers = Workers(model, Threads(torch.get_num_threads(), 1)), Optimizers(model, config)
    losses = []
    for step, batch in enumerate(islice(batches.epoch(1), STEPS)):
        factor = learning_rate_factor(step, STEPS, config)
        loss, _, _ = learn(workers, optimizers, batch, factor, config.max_grad_norm, compute_dtype("auto"))
        losses.append(loss.item())
    print(f"ln V is {math.log(spec.vocab_size):.2f}")
    return losses


if __name__ == "__main__":
    main()
