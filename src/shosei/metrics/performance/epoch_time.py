"""How long an epoch takes, and where the time goes."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from shosei.log import Epoch, Log, Section, Step
from shosei.metrics import stats
from shosei.metrics.bins import SECOND_NS
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.metric import Curve, Figure, Plot, Row, Table
from shosei.metrics.performance.held_out import held_out_curve, held_out_table
from shosei.metrics.performance.steps import kept, total
from shosei.metrics.performance.wall_time import PARTS, Stretch, WallTime, overlap, wall_time
from shosei.metrics.text import Words, text

_CURVE_POINTS = 200
_WAITS = ("data_wait", "communication")


@dataclass(frozen=True, slots=True)
class _Pass:
    """One epoch as its slowest rank went through it, evaluation apart."""

    index: int
    seconds: float
    fraction: float

    @property
    def estimated(self) -> float:
        """Seconds of the whole epoch, were the rest as fast as what was seen."""
        return self.seconds / self.fraction


def epoch_time(log: Log) -> Value:
    """Mean epoch time in seconds: first batch request to the end of the last step, slowest rank, evaluation apart.

    Checkpoints within the epoch and restarts count into it.
    """
    steps = kept(log.of(Step))
    epochs = [event for event in log.of(Epoch) if event.fraction > 0]
    if not epochs:
        raise Unmeasurable("not_measured", text("performance.no_epoch_seen"))
    passes = [_slowest(log, steps, index) for index in sorted({event.index for event in epochs})]
    if any(run.seconds <= 0 for run in passes):
        raise Unmeasurable("not_measured", text("performance.no_time"))
    whole = [run.seconds for run in passes if run.fraction >= 1]
    used = whole or [run.estimated for run in passes]
    wall = wall_time(log)
    tokens = {run.index: total(step.tokens for step in steps if step.epoch == run.index) for run in passes}
    all_tokens = total(tokens.values())
    notes: list[Words] = []
    if not whole:
        notes.append(text("performance.estimated_note", fraction=max(run.fraction for run in passes)))
    if ranks := len({step.rank for step in steps}) - 1:
        notes.append(text("performance.slowest_rank", rank=wall.rank, ranks=ranks + 1))
    unknown: tuple[str, ...] = ()
    if any(step.data_wait_ns is None for step in steps):
        unknown = _WAITS
        notes.append(text("performance.waits_unknown"))
    elif any(step.comm_wait_ns is None for step in steps):
        unknown = ("communication",)
        notes.append(text("performance.communication_unknown"))
    return Value(
        value=stats.mean(used), n=len(used), clusters=len(used), unit_of_n=text("term.epochs"),
        ci=stats.student_t(used), ci_method=text("term.t_epochs"), notes=notes,
        detail=text("performance.epoch" if whole else "performance.epoch_estimated"),
        figures={
            "longest_epoch": Figure(max(used), "s", "lower", n=len(used)),
            "tokens_per_s": Figure(
                None if all_tokens is None else all_tokens / math.fsum(run.seconds for run in passes),
                "tokens/s", "higher", n=len(passes),
            ),
            "goodput": Figure(
                None if unknown else wall.parts_ns["compute"] / wall.total_ns, "", "higher", n=1
            ),
        },
        breakdown=[_wall_table(wall, unknown), _epoch_table(passes, steps, tokens), *held_out_table(log)],
        plots=[_loss_curve(steps), *held_out_curve(log)],
    )  # fmt: skip


def _slowest(log: Log, steps: list[Step], index: int) -> _Pass:
    ranks: dict[tuple[str, int], list[Epoch]] = {}
    for event in log.of(Epoch):
        if event.index == index and event.fraction > 0:
            ranks.setdefault((event.boot, event.rank), []).append(event)
    return max((_pass(log, steps, events) for events in ranks.values()), key=lambda run: run.estimated)


def _pass(log: Log, steps: list[Step], events: list[Epoch]) -> _Pass:
    """One rank's way through an epoch, as far as it was seen.

    A restart goes on in the middle: the steps before it belong to the epoch, and so do those after the last event.
    """
    last = events[-1]

    def same(event: Step | Section) -> bool:
        return (event.boot, event.rank) == (last.boot, last.rank)

    own = [step for step in log.of(Step) if step.epoch == last.index and same(step)]
    begin = min([event.begin_ns for event in events] + [step.mono_ns - step.duration_ns for step in own])
    end = max([last.end_ns] + [step.mono_ns for step in own if step.mono_ns - step.duration_ns >= last.end_ns])
    evaluations = [
        Stretch(section.begin_ns, section.end_ns, section.name)
        for section in log.of(Section)
        if section.name == "evaluation" and same(section)
    ]
    taken = sum(step.epoch == last.index and same(step) for step in steps)
    whole = round(last.steps / last.fraction)
    fraction = max(last.fraction, taken / whole) if whole else last.fraction
    seconds = (end - begin - overlap(evaluations, begin, end)) / SECOND_NS
    return _Pass(last.index, seconds, min(1.0, fraction))


def _epoch_table(passes: list[_Pass], steps: list[Step], tokens: dict[int, int | None]) -> Table:
    rows: list[Row] = []
    for run in passes:
        samples = total(step.samples for step in steps if step.epoch == run.index)
        count = len({step.step for step in steps if step.epoch == run.index})
        taken = tokens[run.index]
        speed = None if taken is None else taken / run.seconds
        rows.append([run.index, run.seconds, count, samples, taken, speed, run.fraction])
    columns = ["term.epoch", "term.seconds", *(f"performance.{name}" for name in ("steps", "samples", "tokens"))]
    columns += ["performance.tokens_per_s", "performance.fraction"]
    return Table(text("term.epochs"), [text(column) for column in columns], rows)


def _wall_table(wall: WallTime, unknown: Collection[str]) -> Table:
    rows: list[Row] = [
        [text(f"performance.{part}"), None, None]
        if part in unknown
        else [text(f"performance.{part}"), wall.parts_ns[part] / SECOND_NS, wall.parts_ns[part] / wall.total_ns]
        for part in PARTS
    ]
    rows.append([text("term.total"), wall.total_ns / SECOND_NS, 1.0])
    columns = [text("performance.part"), text("term.seconds"), text("term.share")]
    return Table(text("performance.wall_time"), columns, rows)


def _loss_curve(steps: list[Step]) -> Plot:
    """Mean loss, over ranks and over at most 200 stretches of steps."""
    numbers = sorted({step.step for step in steps})
    losses: dict[int, list[float]] = {}
    for step in steps:
        if step.loss is not None:
            losses.setdefault(step.step, []).append(step.loss)
    size = math.ceil(len(numbers) / _CURVE_POINTS)
    chunks = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    pooled = [[loss for number in chunk for loss in losses.get(number, [])] for chunk in chunks]
    means = [round(stats.mean(values), 5) if values else None for values in pooled]
    return Plot(
        text("performance.loss_curve"), text("term.step"), text("performance.loss"),
        [float(chunk[-1]) for chunk in chunks], [Curve(text("performance.loss"), means)],
    )  # fmt: skip
