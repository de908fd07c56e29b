"""Training speed: how long an epoch, a pass over the workload, or one over an agent system's tasks takes."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from shosei.log import Epoch, HeldOut, Log, Section, Step
from shosei.metrics import stats
from shosei.metrics.metric import Curve, Figure, Key, Plot, Row, Table, Text, text
from shosei.metrics.observed.requests import of_purpose, outermost
from shosei.metrics.observed.steps import gaps, kept, total
from shosei.metrics.observed.tasks import sessions, submitted
from shosei.metrics.observed.wall_time import PARTS, Stretch, WallTime, overlap, wall_time
from shosei.metrics.value import Unmeasurable, Value
from shosei.quantity import NS_PER_S

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
    # By the steps that count: what was taken back is no epoch.
    reached = {(step.boot, step.rank, step.epoch) for step in steps}
    epochs = [
        event for event in log.of(Epoch) if event.fraction > 0 and (event.boot, event.rank, event.index) in reached
    ]
    if not epochs:
        raise Unmeasurable("not_measured", "performance.no_epoch_seen")
    indices = sorted({event.index for event in epochs})
    passes = [_slowest(log, steps, [event for event in epochs if event.index == index]) for index in indices]
    if any(run.seconds <= 0 for run in passes):
        raise Unmeasurable("not_measured", "performance.no_time")
    whole = [run.seconds for run in passes if run.fraction >= 1]
    used = whole or [run.estimated for run in passes]
    wall = wall_time(log)
    tokens = {run.index: total(step.tokens for step in steps if step.epoch == run.index) for run in passes}
    all_tokens = total(tokens.values())
    notes: list[Key | Text] = []
    if not whole:
        notes.append(text("performance.estimated_note", fraction=max(run.fraction for run in passes)))
    if ranks := len({step.rank for step in steps}) - 1:
        notes.append(text("performance.slowest_rank", rank=wall.rank, ranks=ranks + 1))
    unknown: tuple[str, ...] = ()
    notes += gaps(list({step.step: step.count for step in steps}.values()))
    if any(step.data_wait_ns is None for step in steps):
        unknown = _WAITS
        notes.append("performance.waits_unknown")
    elif any(step.comm_wait_ns is None for step in steps):
        unknown = ("communication",)
        notes.append("performance.communication_unknown")
    return Value(
        value=stats.mean(used),
        n=len(used),
        clusters=len(used),
        unit_of_n="term.epochs",
        ci=stats.student_t(used),
        ci_method="term.t_epochs",
        notes=notes,
        detail="performance.epoch" if whole else "performance.epoch_estimated",
        figures={
            "longest_epoch": Figure(max(used), "s", "lower", n=len(used)),
            "tokens_per_s": Figure(
                None if all_tokens is None else all_tokens / math.fsum(run.seconds for run in passes),
                "tokens/s",
                "higher",
                n=len(passes),
            ),
            "goodput": Figure(None if unknown else wall.parts_ns["compute"] / wall.total_ns, "", "higher", n=1),
            **held_out_figures(log),
        },
        breakdown=[_wall_table(wall, unknown), _epoch_table(passes, steps, tokens), *held_out_table(log)],
        plots=[_loss_curve(steps), *held_out_curve(log)],
    )


def _slowest(log: Log, steps: list[Step], told: list[Epoch]) -> _Pass:
    """The pass of the slowest rank, of all that was told of one epoch."""
    ranks: dict[tuple[str, int], list[Epoch]] = {}
    for event in told:
        ranks.setdefault((event.boot, event.rank), []).append(event)
    return max((_pass(log, steps, events) for events in ranks.values()), key=lambda run: run.estimated)


def _pass(log: Log, steps: list[Step], events: list[Epoch]) -> _Pass:
    """One rank's way through an epoch, as far as it was seen, by the steps that count (``kept``).

    A restart goes on in the middle: what it cost, and what was done in vain before it, belongs to the epoch to which
    the run went back. An epoch begins after the last step of the one before it, so no two overlap.
    """
    last = events[-1]

    def same(event: Step | Section) -> bool:
        return (event.boot, event.rank) == (last.boot, last.rank)

    counting = [step for step in steps if step.epoch == last.index and same(step)]
    final = counting[-1]
    earlier_end = max((step.ended_ns for step in steps if step.step < counting[0].step and same(step)), default=0)
    begins = [event.begin_ns for event in events if event.end_ns > earlier_end]
    begins += [
        step.ended_ns - step.duration_ns
        for step in log.of(Step)
        if step.epoch == last.index and same(step) and step.ended_ns > earlier_end
    ]
    begin = max(earlier_end, min(begins, default=earlier_end))
    end = last.end_ns if last.end_ns > final.ended_ns - final.duration_ns else final.ended_ns
    evaluations = [
        Stretch(section.begin_ns, section.end_ns, section.name)
        for section in log.of(Section)
        if section.name == "evaluation" and same(section)
    ]
    taken = sum(step.count for step in counting)
    whole = round(last.steps / last.fraction)
    fraction = max(last.fraction, taken / whole) if whole else last.fraction
    seconds = (end - begin - overlap(evaluations, begin, end)) / NS_PER_S
    return _Pass(last.index, seconds, min(1.0, fraction))


def _epoch_table(passes: list[_Pass], steps: list[Step], tokens: dict[int, int | None]) -> Table:
    rows: list[Row] = []
    for run in passes:
        samples = total(step.samples for step in steps if step.epoch == run.index)
        count = sum({step.step: step.count for step in steps if step.epoch == run.index}.values())
        taken = tokens[run.index]
        speed = None if taken is None else taken / run.seconds
        rows.append([run.index, run.seconds, count, samples, taken, speed, run.fraction])
    columns = ["term.epoch", "term.seconds", *(f"performance.{name}" for name in ("steps", "samples", "tokens"))]
    columns += ["performance.tokens_per_s", "performance.fraction"]
    return Table.of("term.epochs", columns, rows)


def _wall_table(wall: WallTime, unknown: Collection[str]) -> Table:
    rows: dict[Key, Row] = {
        f"performance.{part}": [None, None]
        if part in unknown
        else [wall.parts_ns[part] / NS_PER_S, wall.parts_ns[part] / wall.total_ns]
        for part in PARTS
    }
    rows["term.total"] = [wall.total_ns / NS_PER_S, 1.0]
    columns = ["performance.part", "term.seconds", "term.share"]
    return Table.of("performance.wall_time", columns, rows)


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
    return Plot.of(
        "performance.loss_curve",
        "term.step",
        "performance.loss",
        [float(chunk[-1]) for chunk in chunks],
        [Curve(text("performance.loss"), means)],
    )


def held_out_figures(log: Log) -> dict[str, Figure]:
    """Cross-entropy at the end of the last epoch, by token and by character; none where nobody measured it."""
    return {
        name: figure
        for loss in _measured(log)[-1:]
        for name, figure in (
            ("held_out_loss", Figure(_nats_per_token(loss), "nats/token", "lower", n=1)),
            ("bits_per_character", Figure(_bits_per_character(loss), "bits/character", "lower", n=1)),
        )
    }


def held_out_table(log: Log) -> list[Table]:
    """Mean cross-entropy at each epoch's end; none where nobody measured it."""
    rows: list[Row] = [
        [loss.epoch, loss.step, _nats_per_token(loss), _bits_per_character(loss)] for loss in _measured(log)
    ]
    columns = ["term.epoch", "term.step", "performance.nats_per_token", "performance.bits_per_character"]
    return [Table.of("performance.held_out", columns, rows)] if rows else []


def held_out_curve(log: Log) -> list[Plot]:
    """Bits per character over steps, where it was measured twice or more."""
    measured = _measured(log)
    if len(measured) < 2:
        return []
    label = "performance.bits_per_character"
    curve = Curve(text(label), [_bits_per_character(loss) for loss in measured])
    steps = [float(loss.step) for loss in measured]
    return [Plot.of("performance.held_out", "term.step", label, steps, [curve])]


def _measured(log: Log) -> list[HeldOut]:
    """The last of each epoch: a restart measures again, and every rank the same."""
    return sorted({loss.epoch: loss for loss in log.of(HeldOut)}.values(), key=lambda loss: loss.epoch)


def _nats_per_token(loss: HeldOut) -> float | None:
    return None if loss.nats is None else loss.nats / loss.tokens


def _bits_per_character(loss: HeldOut) -> float | None:
    """Unlike nats a token it does not depend on how the tokenizer cuts the text."""
    return None if loss.nats is None else round(loss.nats / math.log(2) / loss.characters, 5)


def workload_time(log: Log) -> Value:
    """Seconds of one pass over the frozen workload: the exam's requests, first sent to last answered."""
    vantage, requests = outermost(of_purpose(log, "exam"))
    ended = requests.at(requests.has("sent_ns") & requests.has("done_ns"))
    if not len(ended):
        raise Unmeasurable("not_measured", "performance.no_exam")
    failed = int(requests.has("error").sum())
    seconds = int(ended["done_ns"].max() - ended["sent_ns"].min()) / NS_PER_S
    if seconds <= 0:
        raise Unmeasurable("not_measured", "performance.no_time")
    columns = ["performance.requests", "term.seconds", "performance.requests_per_s", "term.vantage"]
    return Value(
        value=seconds,
        n=len(requests),
        clusters=1,
        unit_of_n="term.passes",
        detail="performance.pass",
        ci_method="performance.one_pass",
        invalid=text("performance.pass_failed", failed=failed, requests=len(requests)) if failed else "",
        figures={"requests_per_s": Figure(len(ended) / seconds, "requests/s", "higher", n=1)},
        breakdown=[
            Table.of(
                "performance.pass_table",
                columns,
                [[len(ended), seconds, len(ended) / seconds, vantage]],
            )
        ],
    )


def task_pass(log: Log) -> Value:
    """Seconds from the first submission to the last end, failed tasks among them, pauses between sessions apart."""
    tasks = submitted(log)
    seconds = sum(end - begin for begin, end in sessions(tasks)) / NS_PER_S
    if seconds <= 0:
        raise Unmeasurable("not_measured", "performance.no_time")
    columns = ["agents.tasks", "term.seconds", "agents.failed"]
    return Value(
        value=seconds,
        n=len(tasks),
        clusters=1,
        unit_of_n="term.passes",
        detail="agents.pass",
        ci_method="performance.one_pass",
        breakdown=[
            Table.of(
                "performance.pass_table",
                columns,
                [
                    [len(tasks), seconds, sum(bool(task.error) for task in tasks)],
                ],
            )
        ],
    )
