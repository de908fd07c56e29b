"""Training rows as token ids, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shosei.errors import InputError
from shosei.log import Run
from shosei.text import ChatFormat

NO_LOSS = -100  # the target that torch's cross entropy ignores
PADDING = 0  # any id will do: nothing before it sees it, and it has no target

Example = tuple[list[int], list[bool]]  # a dialogue's token ids, and where in it loss is taken


class Dialogue(msgspec.Struct):
    """One line of ``data/train.jsonl``."""

    messages: list[dict[str, Any]]  # as the chat format takes them, tool calls and results included
    suite: str = ""
    lang: str = ""
    cluster: str = ""
    tools: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True)
class Batch:
    """``ids`` (rows, length) and, one place ahead, ``targets`` (rows, length): int64, padded at the right.

    Targets are ``NO_LOSS`` on questions and padding. ``lengths`` (rows,) counts each row's ids without padding.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def samples(self) -> int:
        """Rows; those without a token are not samples."""
        return int(np.count_nonzero(self.lengths))

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    @property
    def answers(self) -> int:
        """Positions with loss."""
        return int(np.count_nonzero(self.targets != NO_LOSS))

    def share(self, rank: int, ranks: int) -> Batch:
        """Every ``ranks``-th row from row ``rank`` on; a row without tokens where there is none left."""
        if rank < len(self.ids):
            return Batch(self.ids[rank::ranks], self.targets[rank::ranks], self.lengths[rank::ranks])
        return Batch(
            np.full_like(self.ids[:1], PADDING), np.full_like(self.targets[:1], NO_LOSS), np.zeros(1, np.int64)
        )


def read_dialogues(run: Run) -> list[Dialogue]:
    """The run's training rows. Raises InputError that names the file, the line and what is wrong with it."""
    file = run.data / "train.jsonl"
    return _read(file, f"'shosei data --run {run.folder}' makes it")


def take_dialogues(run: Run, file: Path) -> None:
    """Make the conversations in ``file`` the run's training rows; where it has no validation tasks, it gets none.

    Raises InputError as ``read_dialogues`` does, before anything is written.
    """
    if not _read(file, "name a file of JSON Lines"):
        raise InputError(f"{file} has no conversations")
    run.write("data/train.jsonl", file.read_bytes())
    if not (run.data / "validation.jsonl").exists():
        run.write("data/validation.jsonl", b"")


def _read(file: Path, remedy: str) -> list[Dialogue]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; {remedy}") from None
    decode = msgspec.json.Decoder(Dialogue).decode
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(decode(line))
        except msgspec.DecodeError as error:
            raise InputError(f"{file}:{number}: not a training row: {error}") from None
    return rows


def load_examples(run: Run, chat: ChatFormat) -> list[Example]:
    """Encode the run's dialogues, in file order."""
    return [chat.training_example(dialogue.messages, dialogue.tools) for dialogue in read_dialogues(run)]


class DialogueBatches:
    """Batches of examples of similar length, one example a row, the same on every rank: at most ``batch_size`` rows,
    and fewer where they would hold more than ``batch_tokens``, padding included.

    An epoch holds every example once. Its batches and their order depend on ``seed`` and the epoch's number alone.
    They come in few shapes: oneDNN compiles and keeps a kernel for each size of a product that it meets.
    """

    def __init__(self, examples: Sequence[Example], batch_size: int, seed: int, batch_tokens: int = 2048) -> None:
        if not examples:
            raise InputError("there are no training examples; 'shosei data' makes them")
        self._examples = examples
        self._seed = seed
        # The last token of a row is only ever a target.
        self._lengths = np.array([len(ids) - 1 for ids, _ in examples])
        self._parts = list(_parts(np.sort(self._lengths), batch_size, batch_tokens))

    @property
    def steps_per_epoch(self) -> int:
        return len(self._parts)

    def epoch(self, index: int) -> Iterator[Batch]:
        """The batches of epoch ``index``."""
        rng = np.random.default_rng([self._seed, index])
        # Shuffled, then stably sorted: examples of one length meet in different batches each epoch.
        order = rng.permutation(len(self._examples))
        order = order[np.argsort(self._lengths[order], kind="stable")]
        for number in rng.permutation(len(self._parts)):
            examples, shape = self._parts[number]
            yield self._batch(order[examples], shape)

    def _batch(self, chosen: NDArray[np.int64], shape: tuple[int, int]) -> Batch:
        ids = np.full(shape, PADDING, dtype=np.int64)
        targets = np.full(shape, NO_LOSS, dtype=np.int64)
        for row, number in enumerate(chosen):
            tokens, learned = map(np.array, self._examples[number])
            ids[row, : len(tokens) - 1] = tokens[:-1]
            targets[row, : len(tokens) - 1] = np.where(learned[1:], tokens[1:], NO_LOSS)
        return Batch(ids, targets, self._lengths[chosen])


def _parts(lengths: NDArray[np.int64], rows: int, tokens: int) -> Iterator[tuple[slice, tuple[int, int]]]:
    """Which of the examples, in order of length, make a batch, and its rows and length.

    Ascending ``lengths`` in parts whose padded shape has at most ``rows`` rows and ``tokens`` ids, if more than one
    row. Each is full but the last: what a padded length has left over goes with the next."""
    padded, counts = np.unique([_padded(int(length)) for length in lengths], return_counts=True)
    start = length = 0
    for length, end in zip(padded.tolist(), np.cumsum(counts).tolist(), strict=True):
        height = _even(max(1, min(rows, tokens // length)))
        while end - start >= height:
            yield slice(start, start + height), (height, length)
            start += height
    if start < len(lengths):
        yield slice(start, len(lengths)), (len(lengths) - start, length)


def _padded(length: int) -> int:
    """``length`` up to the next multiple of an eighth of the power of two below it, at least of four."""
    step = max(4, 1 << max(0, length.bit_length() - 4))
    return max(1, -(-length // step)) * step


def _even(rows: int) -> int:
    """``rows``, or one less, so that two workers have equally many."""
    return rows - rows % 2 if rows > 1 else rows
