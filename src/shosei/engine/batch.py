"""What one step of the engine computes: rows of several sequences, chunks of prompts and single tokens together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The next tokens of one sequence, which begin at ``position`` in it; ``blocks`` hold the sequence, in order, these
    tokens included. The logits after its last ``wanted`` rows are asked for."""

    tokens: Sequence[int]
    position: int
    blocks: Sequence[int]
    wanted: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """N rows, a token each, of S sequences. A sequence's rows stand together, at consecutive positions. All tensors are
    on the CPU and contiguous."""

    tokens: Tensor  # (N,) int64
    positions: Tensor  # (N,) int64: of each row in its sequence
    starts: Tensor  # (S + 1,) int64: sequence s has the rows from starts[s] to starts[s + 1]
    tables: Tensor  # (S, most blocks) int32: the blocks of each sequence, in order; what is left of a line is 0
    wanted: Tensor  # (W,) int64: rows after which logits are asked for, in rising order

    @classmethod
    def of(cls, sequences: Sequence[Rows]) -> Batch:
        """The rows of all ``sequences`` in their order."""
        starts = [0]
        tokens: list[int] = []
        positions: list[int] = []
        wanted: list[int] = []
        for rows in sequences:
            tokens += rows.tokens
            positions += range(rows.position, rows.position + len(rows.tokens))
            starts.append(len(tokens))
            wanted += range(len(tokens) - rows.wanted, len(tokens))
        most = max(len(rows.blocks) for rows in sequences)
        tables = [[*rows.blocks, *[0] * (most - len(rows.blocks))] for rows in sequences]
        # torch's own constructor takes three times as long, and four tensors as long again.
        numbers = torch.from_numpy(np.array([*tokens, *positions, *starts, *wanted], np.int64))
        first, second, third, last = torch.split(numbers, [len(tokens), len(positions), len(starts), len(wanted)])
        return cls(first, second, third, torch.from_numpy(np.array(tables, np.int32)), last)
