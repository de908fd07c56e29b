"""Batches of examples."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shosei.data.examples import Example
from shosei.errors import InputError

NO_LOSS = -100  # the target that torch's cross entropy ignores
PADDING = 0  # any id will do: nothing before it sees it, and it has no target


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


class DialogueBatches:
    """Batches of examples of similar length, one example a row, the same on every rank: at most ``batch_size`` rows,
    and fewer where they would hold more than ``batch_tokens``, padding included. None is padded beyond ``longest``.

    An epoch holds every example once. Its batches and their order depend on ``seed`` and the epoch's number alone.
    They come in few shapes: oneDNN compiles and keeps a kernel for each size of a product that it meets.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        batch_size: int,
        seed: int,
        batch_tokens: int = 2048,
        longest: int = sys.maxsize,
    ) -> None:
        if not examples:
            raise InputError("there are no training examples; 'shosei data' makes them")
        self._examples = examples
        self._seed = seed
        # The last token of a row is only ever a target.
        self._lengths = np.array([len(ids) - 1 for ids, _ in examples])
        self._parts = list(_parts(np.sort(self._lengths), batch_size, batch_tokens, longest))

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


def _parts(lengths: NDArray[np.int64], rows: int, tokens: int, longest: int) -> Iterator[tuple[slice, tuple[int, int]]]:
    """Which of the examples, in order of length, make a batch, and its rows and length.

    Ascending ``lengths`` in parts whose padded shape has at most ``rows`` rows and ``tokens`` ids, if more than one
    row. Each is full but the last: what a padded length has left over goes with the next."""
    padded, counts = np.unique([min(_padded(int(length)), longest) for length in lengths], return_counts=True)
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
