"""Documents of a small made-up language, and runs that hold them."""

from __future__ import annotations

import random
from pathlib import Path

from shosei.data import TextConfig
from shosei.data.batches import training_files
from shosei.data.corpus import take_text
from shosei.files import sha256
from shosei.log import Run
from shosei.text import Tokenizer

SUBJECTS, OBJECTS, VERBS = ("猫は", "私は", "学生は"), ("魚を", "本を", "漢字を"), ("食べる。", "読む。", "書いた。")


def sentences(count: int, seed: int = 1) -> list[str]:
    """Distinct documents of one to six sentences."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        parts = [rng.choice(SUBJECTS) + rng.choice(OBJECTS) + rng.choice(VERBS) for _ in range(rng.randint(1, 6))]
        found["".join(parts)] = None
    return list(found)


def write_lines(file: Path, documents: list[str]) -> Path:
    file.write_text("".join(f"{document}\n" for document in documents), encoding="utf-8")
    return file


def text_run(folder: Path, documents: list[str], held_out: float = 0.2) -> Run:
    """A run of ``documents`` and a tokenizer that splits their characters."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder)
    take_text(run, [write_lines(folder / "source.txt", documents)], TextConfig(held_out=held_out))
    Tokenizer.train([*SUBJECTS, *OBJECTS, *VERBS], 300).save(run.tokenizer)
    return run


def hashes_of(run: Run) -> dict[str, str]:
    """Of what a training of ``run`` reads."""
    return {name: sha256(path) for name, path in training_files(run).items()}
