"""What a run trains on, as batches: its conversations, its text, or both by turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from shosei.data.config import TooLong
from shosei.data.corpus import SPLITS, corpus_file, has_text
from shosei.data.dataset import Batch, DialogueBatches
from shosei.data.door import how_to_get_rows
from shosei.data.examples import load_examples
from shosei.data.packing import Packed
from shosei.data.tokens import open_tokens
from shosei.errors import InputError
from shosei.log import Run
from shosei.text import ChatFormat


class Batches(Protocol):
    """The batches of an epoch depend on a seed and the epoch's number alone: they are the same on every rank."""

    @property
    def steps_per_epoch(self) -> int: ...

    def epoch(self, index: int) -> Iterator[Batch]: ...


class TextBatches:
    """Batches of ``batch_size`` packed rows, fewer where these would hold more than ``batch_tokens``, at least one."""

    def __init__(self, packed: Packed, batch_size: int, seed: int, batch_tokens: int) -> None:
        self._packed, self._seed = packed, seed
        self._rows = max(1, min(batch_size, batch_tokens // packed.sequence))

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self._packed) // self._rows)

    def epoch(self, index: int) -> Iterator[Batch]:
        """Every row once, in an order of this epoch's."""
        order = np.random.default_rng([self._seed, index]).permutation(len(self._packed))
        for start in range(0, len(order), self._rows):
            yield self._packed.batch(order[start : start + self._rows])


class MixedBatches:
    """The batches of several, each in its own order, evenly mixed."""

    def __init__(self, parts: Sequence[Batches], seed: int) -> None:
        self._parts, self._seed = parts, seed

    @property
    def steps_per_epoch(self) -> int:
        return sum(part.steps_per_epoch for part in self._parts)

    def epoch(self, index: int) -> Iterator[Batch]:
        batches = [part.epoch(index) for part in self._parts]
        turns = np.repeat(np.arange(len(self._parts)), [part.steps_per_epoch for part in self._parts])
        for part in np.random.default_rng([self._seed, index]).permutation(turns):
            yield next(batches[part])


def training_files(run: Run) -> dict[str, Path]:
    """What a training reads, by the name that its hash has in the log: conversations with their validation tasks,
    text with what is held out of it, or both; and the tokenizer. Raises InputError for what is missing."""
    conversations = {"data": run.data / "train.jsonl", "validation": run.data / "validation.jsonl"}
    files = {f"text:{split}": corpus_file(run, split) for split in SPLITS} if has_text(run) else {}
    if not files or conversations["data"].is_file():
        files |= conversations
    files["tokenizer"] = run.tokenizer / "tokenizer.json"
    for name, path in files.items():
        if not path.is_file():
            remedy = f"'shosei tokenizer --run {run.folder}' makes it" if name == "tokenizer" else how_to_get_rows(run)
            raise InputError(f"{path} is missing; {remedy}")
    return files


def open_batches(
    run: Run,
    chat: ChatFormat,
    hashes: dict[str, str],
    *,
    batch_size: int,
    batch_tokens: int,
    sequence: int,
    seed: int,
    context: int,
    too_long: TooLong = "cut",
    strict: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Batches, Packed | None]:
    """Batches of all that the run trains on, and its held-out text, if it has any; ``hashes`` are those
    of its ``training_files``.

    ``sequence``: tokens of a row of text; ``context``: of all that the model reads, beyond which dialogues are treated
    as ``too_long`` says. A batch holds at most ``batch_size`` rows and ``batch_tokens`` ids, padding included. Raises
    InputError as ``load_examples`` does, which ``strict`` is for.
    """
    parts: list[Batches] = []
    held_out = None
    if "data" in hashes:
        examples = load_examples(run, chat, context, too_long, strict, say)
        if alone := sum(len(ids) - 1 > batch_tokens for ids, _ in examples):
            say(f"{alone:,} examples are longer than the {batch_tokens:,} tokens of a batch: each is a batch by itself")
        parts.append(DialogueBatches(examples, batch_size, seed, batch_tokens, context))
    if "text:train" in hashes:
        tokens = open_tokens(run, chat.tokenizer, hashes)
        parts.append(TextBatches(Packed(tokens["train"], sequence), batch_size, seed, batch_tokens))
        held_out = Packed(tokens["held_out"], sequence)
    return parts[0] if len(parts) == 1 else MixedBatches(parts, seed), held_out if held_out else None
