"""A small recorded run: one attempt with every kind of event, written without a clock so that it is always the same."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec

from shosei.card.words import rendered
from shosei.log import (
    Epoch,
    Event,
    Exec,
    Log,
    Note,
    ProcExit,
    ProcStart,
    Request,
    Restart,
    RunBegin,
    RunEnd,
    Sample,
    Score,
    Section,
    Step,
    Verdict,
    Window,
)
from shosei.metrics import Metric
from shosei.metrics.cells import compute
from shosei.metrics.prices import Prices
from shosei.metrics.service_level import ServiceLevel

MS = 1_000_000
S = 1_000_000_000
HARDWARE = {"cpu": "test", "cores": 2, "memory_bytes": 24 * 2**30, "system": "Linux", "gpus": [], "nodes": 1}
STEPS_PER_EPOCH, EPOCHS = 40, 2
LOAD_SECONDS, RATE = 30, 10
LABELS = ["zh-sums", "zh-kana", "ja-sums", "ja-kana"]


def events() -> list[Event]:
    """The run's events in order; ``mono_ns`` is set where a metric reads it."""
    return [*_training(), *_inference()]


def _training() -> list[Event]:
    found: list[Event] = [
        RunBegin(verb="train", argv=["shosei", "train"], hardware=HARDWARE, phase="training", model={"name": "nano"}),
        ProcStart(child="train", child_pid=11, argv=["shosei", "train"], start=1, phase="training"),
        Restart(child="train", phase="training"),
        Section(name="load", begin_ns=0, end_ns=1 * S, phase="training"),
    ]
    now, step = 1 * S, 0
    for epoch in range(1, EPOCHS + 1):
        begin = now
        for _ in range(STEPS_PER_EPOCH):
            step += 1
            now += 250 * MS
            found.append(
                Step(
                    step=step,
                    epoch=epoch,
                    samples=8,
                    tokens=200,
                    duration_ns=250 * MS,
                    data_wait_ns=10 * MS,
                    loss=4.0 / step,
                    finite=True,
                    phase="training",
                    mono_ns=now,
                )
            )
        found.append(
            Epoch(
                index=epoch,
                begin_ns=begin,
                end_ns=now,
                steps=STEPS_PER_EPOCH,
                samples=8 * STEPS_PER_EPOCH,
                tokens=200 * STEPS_PER_EPOCH,
                phase="training",
            )
        )
        found.append(Section(name="evaluation", begin_ns=now, end_ns=now + 2 * S, epoch=epoch, phase="training"))
        found += [_score(index, right=index % (epoch + 1) > 0, phase="training", epoch=epoch) for index in range(80)]
        now += 2 * S
        found.append(Section(name="checkpoint", begin_ns=now, end_ns=now + S, epoch=epoch, phase="training"))
        now += S
    found += samples("train", "training", seconds=now // S, megabytes=400)
    found.append(
        ProcExit(
            child="train", child_pid=11, start=1, planned=True, cause="done", duration_ns=now, code=0, phase="training"
        )
    )
    return found


def _inference() -> list[Event]:
    start = 100 * S
    found: list[Event] = [RunBegin(verb="serve", argv=["shosei", "serve"], hardware=HARDWARE, phase="inference")]
    for number, child in enumerate(("engine", "http")):
        found.append(ProcStart(child=child, child_pid=20 + number, argv=[child], start=1, phase="inference"))
        found.append(Restart(child=child, phase="inference"))
        found += samples(child, "inference", seconds=40, megabytes=300, start=start)
    edges = {"warmup": (0, 3), "steady": (3, LOAD_SECONDS), "drain": (LOAD_SECONDS, LOAD_SECONDS + 1)}
    for name, (begin, end) in edges.items():
        found.append(Window(name=name, begin_ns=start + begin * S, end_ns=start + end * S, phase="inference"))
    draw = random.Random(7)
    for index in range(LOAD_SECONDS * RATE):
        scheduled = start + index * S // RATE
        took = int(draw.expovariate(1 / 40) * MS) + 10 * MS
        failed = index % 100 == 99
        found.append(
            Request(
                id=f"load-{index}",
                purpose="load",
                seen_by="client",
                scheduled_ns=scheduled,
                sent_ns=scheduled + MS,
                first_byte_ns=scheduled + took // 2,
                first_token_ns=None if failed else scheduled + took // 2,
                done_ns=scheduled + took,
                status=500 if failed else 200,
                error="5xx" if failed else "",
                first_try_error="5xx" if failed else "",
                stream=True,
                tokens_in=20,
                tokens_out=None if failed else 5,
                bytes_sent=100,
                bytes_received=400,
                phase="inference",
            )
        )
    for index in range(80):
        sent = start + 50 * S + index * 20 * MS
        found.append(
            Request(
                id=f"exam-{index}",
                purpose="exam",
                seen_by="client",
                scheduled_ns=sent,
                sent_ns=sent,
                first_byte_ns=sent + 15 * MS,
                done_ns=sent + 15 * MS,
                status=200,
                tokens_in=20,
                tokens_out=5,
                bytes_sent=100,
                bytes_received=300,
                phase="inference",
            )
        )
        found.append(_score(index, right=index % 8 > 0, phase="inference"))
    for index in range(10):
        found.append(
            Score(
                suite="functions",
                item=f"f{index}",
                cluster=f"constant-{index}",
                grader="python",
                truth="def f(): ...",
                answer="def f(): ...",
                lang="zh",
                phase="inference",
            )
        )
        found.append(
            Exec(
                suite="functions",
                item=f"f{index}",
                sample=0,
                backend="rlimits",
                level="rlimits",
                oracle="outside",
                outcome="pass" if index < 4 else "wrong",
                cpu_ns=20 * MS,
                phase="inference",
            )
        )
    for number, child in enumerate(("engine", "http")):
        found.append(
            ProcExit(
                child=child,
                child_pid=20 + number,
                start=1,
                planned=True,
                cause="stopped",
                duration_ns=60 * S,
                signal=15,
                phase="inference",
            )
        )
    label = Verdict(suite="sums", item="s1", sample=0, by="person", answer="0", said="pass", phase="inference")
    return [*found, label, Note(level="info", text="recorded"), RunEnd(verb="load", exit_code=0)]


def _score(index: int, *, right: bool, phase: str, epoch: int = 0) -> Score:
    if index % 2:
        truth = str(index)
        return Score(
            suite="sums",
            item=f"s{index}",
            cluster=f"operand-{index}",
            grader="exact",
            truth=truth,
            answer=truth if right else "?",
            lang="zh",
            phase=phase,
            epoch=epoch,
        )
    truth = LABELS[index // 2 % 4]
    answer = truth if right else LABELS[(index // 2 + 1) % 4]
    return Score(
        suite="intent",
        item=f"i{index}",
        cluster=f"phrasing-{index}",
        grader="label",
        truth=truth,
        answer=answer,
        lang="ja",
        phase=phase,
        epoch=epoch,
    )


def samples(name: str, phase: str, *, seconds: int, megabytes: int, start: int = 0) -> list[Event]:
    """A process tree that holds and writes as much each second."""
    return [
        Sample(
            scope="tree",
            name=name,
            processes=1,
            rss_bytes=(megabytes + 20) * 10**6,
            pss_bytes=megabytes * 10**6,
            peak_bytes=(megabytes + 50) * 10**6,
            cpu_ns=second * 800 * MS,
            read_bytes=0,
            write_bytes=second * 10**6,
            cancelled_write_bytes=0,
            read_chars=second * 5 * 10**5,
            write_chars=second * 10**6,
            phase=phase,
            mono_ns=start + second * S,
        )
        for second in range(seconds + 1)
    ]


def metric_of(
    events: list[Event], id: str, phase: str, limits: ServiceLevel | None = None, prices: Prices | None = None
) -> Metric:
    """One cell of a log of ``events``, its texts in English."""
    log = Log(1)
    for event in sorted(events, key=lambda event: event.mono_ns):
        log.events.setdefault(type(event), []).append(event)
    metrics = compute(log, limits, prices)
    return rendered(next(metric for metric in metrics if (metric.id, metric.phase) == (id, phase)))


def rows(metric: Metric, title: str) -> dict[str, list[Any]]:
    """The rows of one table of the breakdown, by their first cell."""
    table = next(table for table in metric.breakdown if table.title == title)
    return {str(row[0]): list(row[1:]) for row in table.rows}


def write_run(folder: Path, kinds_left_out: tuple[type[Event], ...] = ()) -> Path:
    """Write the run into ``folder`` as one segment; return the folder."""
    return write_events(folder, [event for event in events() if not isinstance(event, kinds_left_out)])


def write_events(folder: Path, found: list[Event]) -> Path:
    """Write ``found`` into ``folder`` as one segment, with their envelopes; return the folder."""
    lines = []
    for seq, event in enumerate(found):
        event.v, event.run, event.attempt, event.host, event.boot = 1, "recorded", 1, "host", "boot"
        event.pid, event.start_ticks, event.seq = 10, 1, seq
        event.wall_ns = 1_790_000_000 * S + event.mono_ns
        lines.append(msgspec.json.encode(event))
    log = folder / "log"
    log.mkdir(parents=True, exist_ok=True)
    (log / "host-boot-10-1.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return folder


def write_changed(folder: Path, *replacements: tuple[str, str]) -> Path:
    """The run in ``folder`` with changes to its text; each must change something."""
    segment = next((write_run(folder) / "log").glob("*.jsonl"))
    text = segment.read_text()
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    segment.write_text(text)
    return folder
