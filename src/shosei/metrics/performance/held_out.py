"""How well held-out text is foretold as training goes on: beside the loss, which only tells of what is learnt from."""

from __future__ import annotations

import math

from shosei.log import HeldOut, Log
from shosei.metrics.metric import Curve, Plot, Row, Table
from shosei.metrics.text import text


def held_out_table(log: Log) -> list[Table]:
    """Mean cross-entropy at each epoch's end; none where nobody measured it."""
    rows: list[Row] = [
        [loss.epoch, loss.step, None if loss.nats is None else loss.nats / loss.tokens, _bits_per_character(loss)]
        for loss in _measured(log)
    ]
    columns = ["term.epoch", "term.step", "performance.nats_per_token", "performance.bits_per_character"]
    return [Table(text("performance.held_out"), [text(column) for column in columns], rows)] if rows else []


def held_out_curve(log: Log) -> list[Plot]:
    """Bits per character over steps, where it was measured twice or more."""
    measured = _measured(log)
    if len(measured) < 2:
        return []
    label = text("performance.bits_per_character")
    curve = Curve(label, [_bits_per_character(loss) for loss in measured])
    steps = [float(loss.step) for loss in measured]
    return [Plot(text("performance.held_out"), text("term.step"), label, steps, [curve])]


def _measured(log: Log) -> list[HeldOut]:
    """The last of each epoch: a restart measures again, and every rank the same."""
    return sorted({loss.epoch: loss for loss in log.of(HeldOut)}.values(), key=lambda loss: loss.epoch)


def _bits_per_character(loss: HeldOut) -> float | None:
    """Unlike nats a token it does not depend on how the tokenizer cuts the text."""
    return None if loss.nats is None else round(loss.nats / math.log(2) / loss.characters, 5)
