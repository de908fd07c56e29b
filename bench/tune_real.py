"""``shosei tune serve`` on our own server: ``python bench/tune_real.py OUT [--steps 60] [--budget 30m]``.

Makes a ja-small in OUT, unless it is there: data, a tokenizer with as many entries as the model has rows, some steps of
training, an export in bfloat16. It must learn enough to say words: an answer without any has no first token, and
nobody can tell its goodput. Then it is tuned under the profile chatbot, and the report is printed. Nothing else may run
on the machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shosei.spec import preset
from shosei.verbs import VerbFailed, Verbs

PRESET = "ja-small"
TRAINING = {"batch_size": 16, "optimizer": "adamw", "matrix_lr": 3e-4, "table_lr": 1e-3}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("--steps", type=int, default=60, help="of training; 30 s each on two cores")
    options.add_argument("--budget", default="30m")
    options.add_argument("--rate", type=float, default=8, help="requests offered a second; 8 are the profile's")
    asked = options.parse_args()
    run, model, verbs = asked.out / "run", asked.out / PRESET, Verbs(1)
    try:
        if not model.is_dir():
            make(verbs, run, model, asked.steps)
        target = ["--set", f"serve.model={model}", "--set", f"serve.exam.suite={run / 'suites' / 'sums.jsonl'}"]
        target += ["--set", "serve.exam.max_tokens=16", "--set", f"serve.load.rate={asked.rate}"]
        words = ["--profile", "chatbot", "--budget", asked.budget, "--out", str(asked.out / "tuned")]
        verbs.run("tune", "tune", "serve", "shosei-serve", *target, *words)
    except VerbFailed as failure:
        sys.exit(f"exit code {failure.code}: {failure.command}")


def make(verbs: Verbs, run: Path, model: Path, steps: int) -> None:
    """Train a model for a few steps, and export it."""
    settings = [word for name, value in TRAINING.items() for word in ("--set", f"train.{name}={value}")]
    verbs.run("data", "data", "--run", str(run), "--set", "data.validation_tasks=1")
    verbs.run("tokenizer", "tokenizer", "--run", str(run), "--vocab-size", str(preset(PRESET).vocab_size))
    verbs.run("train", "train", "--run", str(run), "--preset", PRESET, "--max-steps", str(steps), *settings)
    verbs.run("export", "export", str(run), str(model), "--type", "bf16")


if __name__ == "__main__":
    main()
