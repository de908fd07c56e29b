"""Documents packed into rows of one length, so that nothing is thrown away and little is padded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from shosei.data.dataset import NO_LOSS, PADDING, Batch
from shosei.data.tokens import Tokens
from shosei.progress import progress


def best_fit(lengths: NDArray[np.int64], capacity: int) -> NDArray[np.int64]:
    """The row, from 0, of each piece of ``lengths`` (1 to ``capacity``): best-fit decreasing.

    The longest pieces come first, each into the fullest row that has room for it, else into a new one
    (Ding et al., "Fewer Truncations Improve Language Modeling", arXiv 2404.10830).
    """
    rows = np.empty(len(lengths), np.int64)
    with_room: list[list[int]] = [[] for _ in range(capacity)]  # rows by what they have room for
    rooms = 0  # bit r is set where with_room[r] has a row
    opened = 0
    for piece in np.argsort(-lengths, kind="stable"):
        length = int(lengths[piece])
        if fitting := rooms >> length:
            room = length + (fitting & -fitting).bit_length() - 1
            row = with_room[room].pop()
            rooms ^= (not with_room[room]) << room
        else:
            room, row = capacity, opened
            opened += 1
        rows[piece] = row
        if left := room - length:
            with_room[left].append(row)
            rooms |= 1 << left
    return rows


class Packed:
    """The predictions in ``tokens``, in rows of ``sequence`` places at most.

    A document of n tokens has n - 1 predictions: of each token but the first, from those before it. Longer documents
    are cut; a prediction stands in exactly one row, and the last token of a piece is also the first of the next.
    """

    def __init__(self, tokens: Tokens, sequence: int) -> None:
        self.sequence = sequence
        self.characters = tokens.characters
        self._ids = tokens.ids
        predictions = np.diff(tokens.starts) - 1
        pieces = -(-predictions // sequence)  # of each document
        document = np.repeat(np.arange(len(pieces)), pieces)
        before = (np.arange(len(document)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * sequence
        lengths = np.minimum(predictions[document] - before, sequence)
        with progress("packing the text into rows"):
            rows = best_fit(lengths, sequence)
        by_row = np.argsort(rows, kind="stable")
        self._starts = (tokens.starts[:-1][document] + before)[by_row]
        self._lengths = lengths[by_row]
        self._ends = np.cumsum(np.bincount(rows))  # of each row's pieces

    def __len__(self) -> int:
        return len(self._ends)

    def in_order(self, batch_tokens: int) -> Iterator[Batch]:
        """All rows once, at most ``batch_tokens`` places at a time, but a row at least."""
        rows = np.arange(len(self))
        at_once = max(1, batch_tokens // self.sequence)
        for start in range(0, len(rows), at_once):
            yield self.batch(rows[start : start + at_once])

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The chosen rows, each filled up at the right."""
        ids = np.full((len(rows), self.sequence), PADDING, dtype=np.int64)
        targets = np.full((len(rows), self.sequence), NO_LOSS, dtype=np.int64)
        filled = np.zeros(len(rows), dtype=np.int64)
        for place, row in enumerate(rows):
            end = 0
            for piece in range(self._ends[row - 1] if row else 0, self._ends[row]):
                start, length = self._starts[piece], self._lengths[piece]
                ids[place, end : end + length] = self._ids[start : start + length]
                targets[place, end : end + length] = self._ids[start + 1 : start + length + 1]
                end += length
            filled[place] = end
        return Batch(ids, targets, filled)
