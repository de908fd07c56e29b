"""A run folder with a task so small that a tiny model learns it in seconds: letters to the letters after them."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import msgspec
import pytest

from shosei.engine.engine import answer_greedily
from shosei.log import Log, Run, read_log
from shosei.spec import PRESETS, ModelSpec
from shosei.supervise import Child, Supervisor
from shosei.text import Tokenizer
from shosei.train import TrainConfig
from shosei.train.preparation import prepare
from shosei.train.trainer import Trained, train
from shosei.wire.suite import Task, write_suite

TINY = replace(
    PRESETS["nano"], d_model=32, n_layers=2, intermediate_size=64, n_heads=2, n_kv_heads=1, head_dim=16, vocab_size=280
)
LETTERS = "abcdef"
KILLED_ONCE = """
import os, signal, sys
from pathlib import Path
if os.environ.get("ONE_CORE_AFTER_THE_KILL") and Path(sys.argv[1], "killed").exists():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before torch counts the cores
from shosei.log import Run
from shosei.train import TrainConfig, trainer
from train_samples import run_training
folder, config, epoch = sys.argv[1:]
validate = trainer.validate
def killed_once(*arguments):
    marker = Path(folder, "killed")
    if arguments[-1] == int(epoch) and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    validate(*arguments)
trainer.validate = killed_once
run_training(Run(Path(folder)), TrainConfig.model_validate_json(config))
"""
FAST = TrainConfig(epochs=6, batch_size=16, matrix_lr=0.02, table_lr=0.02, dtype="float32", threads=1)


def make_run(folder: Path) -> Run:
    """Questions of two letters each; six of the pairs are held out for validation, each letter once in each place."""
    run = Run(folder)
    pairs = ["".join(pair) for pair in product(LETTERS, repeat=2)]
    held_out = [first + LETTERS[number - 2] for number, first in enumerate(LETTERS)]
    rows = [
        {"messages": [*_question(pair), {"role": "assistant", "content": _answer(pair)}], "suite": "next", "lang": "zh"}
        for pair in pairs * 8
        if pair not in held_out
    ]
    run.write("data/train.jsonl", b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    tasks = [
        Task(
            id=f"next-{pair}",
            suite="next",
            lang="zh",
            cluster=pair,
            messages=_question(pair),
            grader="exact",
            truth=_answer(pair),
            max_tokens=4,
        )
        for pair in held_out
    ]
    write_suite(run.data / "validation.jsonl", tasks)
    # Texts of single letters teach no merges: each letter is a token of its own.
    Tokenizer.train(["user\n", "assistant\n", *LETTERS, *LETTERS.upper()], TINY.vocab_size).save(run.tokenizer)
    return run


def run_training(run: Run, config: TrainConfig = FAST) -> tuple[Trained, Log]:
    """Train the tiny shape in the place of ``nano``; return the result and this attempt's log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "nano", TINY)
        prepared = prepare(config, run)
        with run.recording("train", "training", **prepared.manifest()) as record:
            trained = train(prepared, record.writer, answer_greedily)
            record.hashes["model.safetensors"] = trained.sha256
    return trained, read_log(run.log)


def train_killed_once(run: Run, config: TrainConfig, epoch: int, patch: pytest.MonkeyPatch) -> int:
    """Train under the supervisor in a process that is killed at the end of ``epoch``; the supervisor's exit code."""
    patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    command = [sys.executable, "-c", KILLED_ONCE, str(run.folder), config.model_dump_json(), str(epoch)]
    with run.recording("supervise:train", "training") as record:

        async def supervised() -> int:
            child = Child("train", command, phase="training")
            return await Supervisor(record.writer, [child], backoff_s=0.01).run()

        record.exit_code = asyncio.run(supervised())
    return record.exit_code


def tiny_spec(**changes: object) -> ModelSpec:
    return replace(TINY, **changes)  # type: ignore[arg-type]


def _question(pair: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": pair}]


def _answer(pair: str) -> str:
    return "".join(LETTERS[(LETTERS.index(letter) + 1) % len(LETTERS)].upper() for letter in pair)
