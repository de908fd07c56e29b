"""The scorecard as data: what was measured, on what, by which commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from pathlib import PurePath
from typing import Any

import msgspec

from shosei.card.agents import Agents, agents
from shosei.card.judge import Judgement, judge
from shosei.card.notes import recognised
from shosei.card.timeline import Timeline, ends_of_verbs, timeline
from shosei.card.wrong import Wrong, wrong
from shosei.log import Event, Exec, Log, Note, RunBegin, RunEnd, Sample, Window
from shosei.metrics.accuracy.pass_at_1 import judged_inside
from shosei.metrics.experience.doubts import DOUBTS
from shosei.metrics.metric import CELL_KEYS, Metric, Phase, Text, Words, text
from shosei.metrics.observed.plausible import left_out
from shosei.metrics.observed.requests import why_invalid
from shosei.metrics.observed.tasks import stopped, submitted
from shosei.profile.profile import Profile, read_profile, shipped
from shosei.quantity import NS_PER_S
from shosei.spec import audit

# Warnings that cast doubt on a number: made-up ratings, requests that cannot have been.
DOUBTFUL = ("warning.impossible_requests", *(f"experience.{key}" for key in DOUBTS))


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One verb of the attempt. ``exit_code`` is None when it ended without a word: killed, or still running."""

    verb: str
    phase: str
    argv: list[str]
    exit_code: int | None
    dropped: int = 0  # events it could not write


class PublishedCount(msgspec.Struct, frozen=True, kw_only=True):
    """A count in the published models' tables beside the computed one; ``difference`` is relative."""

    model: str
    part: str
    published: int
    computed: int
    difference: float
    reason: Words


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """What measuring cost: CPU time of supervisors and load clients, their own start-up included, and its share of one
    core while they watched, which it is not.
    """

    cpu_seconds: float
    share: float | None


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a run. ``metrics`` holds 30 cells: 15 ids, each for training and for inference.

    ``kernels``, ``agents`` and ``wrong`` are not in the JSON of a card that has none. ``judgements`` are what the
    metrics are worth to ``profile``; without a profile there are none.
    """

    schema: int = 1
    run: str
    attempt: int
    target: str = ""  # of 'shosei alternate': which of its targets, and in which of its turns
    turn: int = 0
    system: str = ""  # the agent system that was given tasks
    started: str  # UTC, ISO 8601; "" where no run.begin survived
    profile: str
    profile_description: Words = ""
    arrival: str
    sandbox: str
    model: dict[str, Any]
    hardware: dict[str, dict[str, Any]]  # host -> facts
    kernels: dict[str, str] | msgspec.UnsetType = msgspec.UNSET  # part of a model that an engine of ours served -> what
    versions: dict[str, str]
    hashes: dict[str, str]
    seeds: dict[str, int]
    commands: list[Command]
    meter: Meter | None
    agents: Agents | msgspec.UnsetType = msgspec.UNSET  # where calls of agents are in the log
    wrong: Wrong | msgspec.UnsetType = msgspec.UNSET  # where an agent system's tasks were graded
    metrics: list[Metric]
    judgements: list[Judgement] = []
    timeline: Timeline
    audit: list[PublishedCount]
    warnings: list[Words]  # a str is foreign: a sentence of an earlier version, in English
    log_digest: str

    def cell(self, id: str, phase: Phase) -> Metric:
        """The metric ``id`` in ``phase``."""
        return next(metric for metric in self.metrics if (metric.id, metric.phase) == (id, phase))


def build(
    log: Log,
    metrics: list[Metric],
    profile: Profile | None = None,
    noticed: Sequence[Words] = (),
    *,
    answers: bool = True,
) -> Scorecard:
    """Join the metrics of an attempt with its manifest: what each verb said when it began and when it ended.

    ``profile`` judges them; without one, only the name of the profile that a verb was given stands on the card.
    Where two verbs disagree about a fact, the later one stands and a warning names both. ``noticed`` are further
    warnings, of what is in no log. ``answers``: whether wrong tasks are told with what was asked and answered.
    """
    if sorted(CELL_KEYS) != sorted((metric.id, metric.phase) for metric in metrics):
        raise ValueError(f"a scorecard takes each of {len(CELL_KEYS)} cells once")
    begins = sorted(log.of(RunBegin), key=_moment)
    warnings: list[Words] = [recognised(sentence) for sentence in log.warnings]
    warnings += [] if begins else [text("cell.no_run_begin")]
    warnings += left_out(log)
    warnings += _doubts(metrics)
    warnings += stopped(submitted(log))
    warnings += _samples(begins)
    warnings += judged_inside(log.of(Exec))
    warnings += [why_invalid(window) for window in log.of(Window) if window.name == "steady" and window.client]
    warnings += [recognised(note.text) for note in sorted(log.of(Note), key=_moment) if note.level == "warning"]
    ends = ends_of_verbs(log)
    commands = [_command(begin, ends.get((begin.process, begin.verb))) for begin in begins]
    unended = Counter(command.verb for command in commands if command.exit_code is None)
    warnings += [
        text("warning.no_ends", verb=verb, times=times) if times > 1 else text("warning.no_end", verb=verb)
        for verb, times in unended.items()
    ]
    warnings += [
        text("warning.dropped", verb=command.verb, dropped=command.dropped) for command in commands if command.dropped
    ]
    warnings += noticed
    ends_too: list[RunBegin | RunEnd] = [*begins, *log.of(RunEnd)]
    metrics = sorted(metrics, key=lambda metric: CELL_KEYS.index((metric.id, metric.phase)))
    return Scorecard(
        run=begins[0].run if begins else "",
        attempt=log.attempt,
        target=_last(begin.target for begin in begins),
        turn=max((begin.turn for begin in begins), default=0),
        system=_last(task.system for task in submitted(log)),
        started=_utc(begins[0].wall_ns) if begins else "",
        profile=profile.name if profile else _last(begin.profile for begin in begins),
        profile_description=_description(profile) if profile else "",
        arrival=_last(begin.arrival for begin in begins),
        sandbox=_last(begin.sandbox for begin in begins),
        model=_served(begins) | _merge("model", begins, warnings),
        hardware={
            host: _merge("hardware", [begin for begin in begins if begin.host == host], warnings)
            for host in sorted({begin.host for begin in begins})
        },
        kernels=_kernels(begins),
        versions=_merge("versions", begins, warnings),
        hashes=_merge("hashes", sorted(ends_too, key=_moment), warnings),
        seeds=_merge("seeds", begins, warnings),
        commands=commands,
        meter=_meter(log),
        agents=agents(log, metrics),
        wrong=wrong(log, answers=answers),
        metrics=metrics,
        judgements=judge(metrics, profile, log) if profile else [],
        timeline=timeline(log),
        audit=[
            PublishedCount(
                model=row.model,
                part=row.part,
                published=row.published,
                computed=row.computed,
                difference=row.difference,
                reason=text(f"audit.{row.key}"),
            )
            for row in audit()
        ],
        warnings=warnings,
        log_digest=log.digest,
    )


def _doubts(metrics: Sequence[Metric]) -> list[Words]:
    """What the metrics' notes say against their own values."""
    notes = [note for metric in metrics for note in metric.notes]
    return [note for note in notes if isinstance(note, Text) and note.key in DOUBTFUL]


def _description(profile: Profile) -> Words:
    """That of a shipped profile in the card's own words; another speaks for itself."""
    is_shipped = profile.name in shipped() and profile == read_profile(profile.name)
    return text(f"profile.shipped.{profile.name}") if is_shipped else profile.description


def _merge(field: str, events: Iterable[RunBegin | RunEnd], warnings: list[Words]) -> dict[str, Any]:
    """Merge a field of the events, later over earlier; add a warning for each key that changed its value."""
    merged: dict[str, Any] = {}
    verbs: dict[str, str] = {}
    for event in events:
        for key, value in getattr(event, field).items():
            if key in merged and merged[key] != value:
                warnings.append(
                    text(
                        "warning.changed",
                        field=field,
                        name=key,
                        before=str(merged[key]),
                        verb_before=verbs[key],
                        after=str(value),
                        verb_after=event.verb,
                    )
                )
            merged[key], verbs[key] = value, event.verb
    return merged


def _served(begins: Iterable[RunBegin]) -> dict[str, Any]:
    """The name under which a server was asked, for a run in which no verb of the build wing told more."""
    name = _last(str(begin.config.get("model") or "") for begin in begins if begin.verb in ("load", "exam"))
    return {"name": name} if name else {}


def _kernels(begins: Iterable[RunBegin]) -> dict[str, str] | msgspec.UnsetType:
    """What computed the parts of the model, as its last engine said."""
    told = [begin.config["kernels"] for begin in begins if begin.verb == "engine" and "kernels" in begin.config]
    return told[-1] if told else msgspec.UNSET


def _command(begin: RunBegin, end: RunEnd | None) -> Command:
    return Command(
        verb=begin.verb,
        phase=begin.phase,
        argv=_typed(begin.argv),
        exit_code=end.exit_code if end else None,
        dropped=end.dropped if end else 0,
    )


def _typed(argv: list[str]) -> list[str]:
    """``argv`` as a person types it, wherever shosei is installed; also where shosei supervises shosei."""
    programs = {0, argv.index("--") + 1} if "--" in argv else {0}
    ours = [place in programs and PurePath(word).name in ("shosei", "__main__.py") for place, word in enumerate(argv)]
    return ["shosei" if our else word for our, word in zip(ours, argv, strict=True)]


def _samples(begins: Iterable[RunBegin]) -> list[Text]:
    """Of each suite of which an exam asked only some tasks: how many, of how many, and the seed that drew them."""
    samples = {name: drawn for begin in begins for name, drawn in begin.config.get("drawn", {}).items()}
    return [
        text("warning.sample", suite=suite, asked=drawn["asked"], held=drawn["held"], seed=str(drawn["seed"]))
        for suite, drawn in samples.items()
    ]


def _meter(log: Log) -> Meter | None:
    """From the samples that the measuring processes took of themselves."""
    samples = [sample for sample in log.of(Sample) if sample.scope == "self" and sample.cpu_ns is not None]
    process_of = attrgetter("process")
    processes = [list(group) for _, group in groupby(sorted(samples, key=process_of), key=process_of)]
    cpu_ns = sum(max(sample.cpu_ns or 0 for sample in process) for process in processes)
    watching_ns = sum((process[-1].cpu_ns or 0) - (process[0].cpu_ns or 0) for process in processes)
    watched_ns = sum(process[-1].mono_ns - process[0].mono_ns for process in processes)
    if not cpu_ns:
        return None
    return Meter(cpu_seconds=cpu_ns / NS_PER_S, share=watching_ns / watched_ns if watched_ns else None)


def _moment(event: Event) -> tuple[int, str, int, int]:
    """Sorts events of all processes by when they happened."""
    return event.wall_ns, event.host, event.pid, event.seq


def _last(values: Iterable[str]) -> str:
    """The last that is not empty."""
    return next((value for value in reversed(list(values)) if value), "")


def _utc(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
