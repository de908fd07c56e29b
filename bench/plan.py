"""Peak memory of real steps beside the plan's closed forms: ``python bench/plan.py [PRESET …]`` (three unless given).

Each measurement has a process of its own: first a tiny model does the same, which loads what is loaded once; what is
resident then is the baseline, and the peak is the process's largest resident set (``ru_maxrss``) less that. glibc is
told to give every freed block of 1 MiB or more back at once (``MALLOC_MMAP_THRESHOLD_``), so that what is resident is
in use; one line is measured as ``shosei train`` has it, which keeps what is freed.

Training: the trainer's step, twice, loss on every token; with Muon and with AdamW alone, with blocks computed again
for four times the rows, and with all logits at once. The seconds are the last step's.
Generation: random bfloat16 weights, packed, every stream's context filled to the end. Weights in a file would be
mapped besides, which the kernel takes back when memory is short.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import psutil
import torch

from shosei.data.dataset import Batch
from shosei.engine.engine import Engine
from shosei.engine.protocol import Submit
from shosei.model.device import compute_dtype
from shosei.model.transformer import Transformer
from shosei.quantity import shown_bytes
from shosei.spec import ModelSpec, preset
from shosei.spec.generation import generation_memory
from shosei.spec.training import TrainingStep, training_memory
from shosei.train import TrainConfig, loss
from shosei.train.memory import keep_freed_memory, recompute_blocks
from shosei.train.optim import Optimizers
from shosei.train.trainer import learn
from shosei.train.workers import Threads, Workers

GIVES_BACK = "MALLOC_MMAP_THRESHOLD_"
STEPS = 2
STREAMS, CONTEXT = 4, 512
# Rows and tokens that leave a 24 GB machine some room.
SHAPES = {"ja-small": (2, 512), "internlm-tiny": (2, 512), "ja-large": (1, 512)}


def main() -> None:
    precision = "bf16" if compute_dtype("auto") == torch.bfloat16 else "fp32"
    for name in sys.argv[1:] or SHAPES:
        spec = preset(name)
        muon = TrainingStep(*SHAPES.get(name, (1, 512)), precision=precision)  # type: ignore[arg-type]
        adamw = replace(muon, optimizer="adamw")
        again = replace(adamw, batch=4 * adamw.batch, checkpointing=True)
        print(f"{name}, {muon.batch} x {muon.sequence} tokens, {precision}:", flush=True)
        os.environ[GIVES_BACK] = str(1 << 20)
        for what, step in {"muon": muon, "adamw": adamw, f"adamw, {again.batch} rows, checkpointing": again}.items():
            report(f"training, {what}", training_memory(spec, step).peak, *measured(train, spec, step))
        planned = training_memory(spec, adamw).peak
        report("training, adamw, all logits at once", planned, *measured(train_with_all_logits, spec, adamw))
        report("generation", generation_memory(spec, STREAMS, CONTEXT).peak, *measured(generate, spec))
        del os.environ[GIVES_BACK]
        planned = training_memory(spec, muon).peak
        report("training, muon, what is freed is kept", planned, *measured(train, spec, muon))


def measured(work: Callable[..., float], *arguments: object) -> tuple[int, float]:
    """Peak bytes above the baseline, and seconds of ``work`` in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_peak, work, *arguments).result()


def report(what: str, planned: int, peak: int, seconds: float) -> None:
    print(
        f"  {what}: planned {shown_bytes(planned)}, measured {shown_bytes(peak)} ({planned / peak - 1:+.1%}), "
        f"{seconds:.1f} s",
        flush=True,
    )


def _peak(work: Callable[..., float], spec: ModelSpec, *rest: object) -> tuple[int, float]:
    keep_freed_memory()  # does nothing beside GIVES_BACK
    work(replace(preset("nano"), vocab_size=512), *rest)
    baseline = psutil.Process().memory_info().rss
    seconds = work(spec, *rest)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - baseline, seconds


def train(spec: ModelSpec, step: TrainingStep) -> float:
    """Seconds of the last step."""
    model = Transformer(spec)
    if step.checkpointing:
        recompute_blocks(model)
    config = TrainConfig(optimizer=step.optimizer)
    optimizers = Optimizers(model, config)
    workers = Workers(model, Threads(torch.get_num_threads(), 1))
    generator = np.random.default_rng(0)
    begin = 0.0
    for _ in range(STEPS):
        ids = generator.integers(0, spec.vocab_size, (step.batch, step.sequence))
        begin = time.monotonic()
        learn(
            workers,
            optimizers,
            Batch(ids, ids, np.full(len(ids), step.sequence)),
            1.0,
            config.max_grad_norm,
            compute_dtype("auto"),
        )
    return time.monotonic() - begin


def train_with_all_logits(spec: ModelSpec, step: TrainingStep) -> float:
    loss.LOGITS_IN_A_CHUNK = step.tokens * spec.vocab_size
    return train(spec, step)


def generate(spec: ModelSpec) -> float:
    """Seconds until every stream has its last token."""
    torch.set_default_dtype(torch.bfloat16)
    model = Transformer(spec).eval()
    model.pack()
    engine = Engine(model, spec, STREAMS, CONTEXT)
    begin = time.monotonic()
    for number in range(STREAMS):
        engine.submit(Submit(number, [1] * (CONTEXT - 8), 8))
    while engine.busy:
        engine.step()
    return time.monotonic() - begin


if __name__ == "__main__":
    main()
