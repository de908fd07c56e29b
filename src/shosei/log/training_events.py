"""What a training tells of itself: epochs, steps, what lies between them, loss on held-out text, collectives."""

from __future__ import annotations

from typing import Annotated

import msgspec

from shosei.log.event import Event, Int64

_Some = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class Epoch(Event, tag="epoch"):
    """One pass over the training data: first batch request to the end of the last optimiser step.

    What was seen so far may be told at every checkpoint, and by every start of the process: its last word counts.
    """

    index: Int64  # as the trainer counts: ours from 1
    begin_ns: Int64
    end_ns: Int64
    steps: Int64
    samples: Int64 | None
    tokens: Int64 | None
    fraction: float = 1.0  # share of the epoch that was seen


class Step(Event, tag="step"):
    """An optimiser step, attempted, as this rank saw it, or several in a row: what is counted is the sum over them."""

    step: Int64  # from 1; of several the last one
    epoch: Int64  # as the trainer counts; 0 where it does not say
    samples: Int64 | None  # of this rank
    tokens: Int64 | None  # of this rank, without padding
    duration_ns: Int64  # data wait included
    data_wait_ns: Int64 | None
    loss: float | None  # None: not finite or, where ``finite``, not known
    finite: bool
    comm_wait_ns: Int64 | None = 0
    grad_norm: float | None = None
    lr: float | None = None
    skipped: bool = False
    flops: Int64 | None = None  # forward and backward, by the model's closed form; what is recomputed does not count
    count: _Some = 1  # how many steps; more where a foreign trainer does not tell of each
    untimed: _Count = 0  # steps right before these that a foreign trainer told of, nobody knows how long they took
    end_ns: Int64 | None = None  # where it was told of later than it ended; else it ended as it was written down

    @property
    def ended_ns(self) -> int:
        """When it ended."""
        return self.mono_ns if self.end_ns is None else self.end_ns


class Section(Event, tag="section"):
    """A stretch of a training run that is not a step: load | compile | checkpoint | evaluation."""

    name: str
    begin_ns: Int64
    end_ns: Int64
    epoch: Int64 = 0  # the epoch it happened in; 0: outside every epoch


class HeldOut(Event, tag="held_out"):
    """Cross-entropy on held-out text, at an epoch's end. Per character, it does not depend on the tokenizer."""

    epoch: Int64  # 0: before training
    step: Int64  # optimiser steps so far
    nats: float | None  # summed over the predictions; None: not finite
    tokens: Int64  # predicted, each document's end among them
    characters: Int64  # code points of the text


class Comm(Event, tag="comm"):
    """One collective operation of distributed training, as this rank saw it."""

    op: str  # all_reduce | all_gather | reduce_scatter
    bytes: Int64  # payload a rank: the whole tensor, before it is scattered or after it is gathered
    world: Int64
    duration_ns: Int64
    call: Int64  # the same number on every rank
    inter_node: bool
