"""Error rate: steps, requests or an agent system's tasks that went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce

import numpy as np

from shosei.log import Columns, Log, Request, Step, Window, Workflow
from shosei.log.events import UNATTRIBUTED
from shosei.log.guessed_agent import GUESSED
from shosei.metrics import stats
from shosei.metrics.metric import Figure, Key, Row, Table, Text, Words, text
from shosei.metrics.observed import guessed
from shosei.metrics.observed.passed_on import passed_on
from shosei.metrics.observed.requests import Drill, by_time, of_purpose, outermost, why_invalid
from shosei.metrics.observed.steps import attempted, gaps
from shosei.metrics.observed.tasks import by_task, calls, ended_badly, names, stopped, submitted
from shosei.metrics.observed.tool_calls import asked_tools
from shosei.metrics.reliability.tool_success import tool_success
from shosei.metrics.stats.observations import Observation, Observations, by_cluster, share
from shosei.metrics.value import Unmeasurable, Value
from shosei.quantity import NS_PER_S

_PURPOSES = ("load", "exam", "agents", "chat")  # what users of a server do; probes and warm-ups measure nothing
_BROKEN_OFF = ("cancelled", "disconnect")  # by the harness, by a client
_ATTRIBUTIONS = ("path", "header", "metadata", "key", GUESSED)
_ERRORS = {
    "timeout",
    "connect",
    "4xx",
    "429",
    "5xx",
    "malformed",
    "cut stream",
    "empty",
    "invalid tool call",
    "context limit",
    "disconnect",
    "budget",
    "lost",
}


def step_errors(log: Log) -> Value:
    """Optimiser steps with a non-finite loss or gradient, or skipped, per step attempted.

    A step goes wrong on one rank or on all: its ranks are one step. Where a trainer tells of every tenth step only,
    what it tells stands for all ten, which are one observation (effective size: Kish 1965).
    """
    steps = attempted(log.of(Step))
    if any(step.finite and step.loss is None for ranks in steps for step in ranks):
        raise Unmeasurable("not_measured", "reliability.loss_unknown")
    counts = [ranks[0].count for ranks in steps]
    attempts, bad = sum(counts), _count(steps, _is_bad)
    independent = attempts / sum(count * count for count in counts)  # a step
    keys = [f"{place} step {ranks[0].step}" for place, ranks in enumerate(steps)]
    each = [
        Observation(key, key, {"top": float(count * _is_bad(ranks)), "bottom": float(count)})
        for key, count, ranks in zip(keys, counts, steps, strict=True)
    ]
    return Value(
        value=bad / attempts,
        observations=Observations(each, share, paired=False),
        n=len(steps),
        clusters=len(steps),
        unit_of_n="reliability.steps",
        ci=stats.wilson(bad * independent, attempts * independent),
        ci_method="reliability.wilson",
        detail="reliability.bad_steps_per_step",
        notes=["reliability.raised_steps", *gaps(counts)],
        breakdown=[
            Table.of(
                "reliability.steps",
                ["term.quantity", "term.n"],
                {
                    "reliability.attempted": [attempts],
                    "reliability.non_finite": [_count(steps, lambda ranks: not all(step.finite for step in ranks))],
                    "reliability.skipped": [_count(steps, lambda ranks: any(step.skipped for step in ranks))],
                },
            )
        ],
    )


def _count(steps: Sequence[Sequence[Step]], of: Callable[[Sequence[Step]], bool]) -> int:
    return sum(ranks[0].count for ranks in steps if of(ranks))


def _is_bad(ranks: Sequence[Step]) -> bool:
    return any(not step.finite or step.skipped for step in ranks)


def request_errors(log: Log) -> Value:
    """Requests whose final state is an error, per request started, those that the client itself broke off left out:
    the harness cancelled them, or a client left, which server and gateway see.

    The requests of one vantage, the outermost in the log. Neighbours in time fail together, so the interval rests on
    fewer than all. What a load measured while its client was the bottleneck is no error rate of the server.
    """
    vantage, seen = outermost(of_purpose(log, *_PURPOSES))
    requests = seen.at(~seen.where("error", *_BROKEN_OFF))
    if not len(requests):
        raise Unmeasurable("not_measured", "reliability.no_requests")
    batches = _batches(requests)
    occupied = sum(len(batch) > 0 for series in batches.values() for batch in series)
    failed, failed_first = requests.has("error"), _failed_first(requests)
    notes = [text("reliability.seen_by", vantage=vantage)]
    if cancelled := int(seen.where("error", "cancelled").sum()):
        notes.append(text("reliability.cancelled", count=cancelled))
    if left := int(seen.where("error", "disconnect").sum()):
        notes.append(text("reliability.clients_left", count=left, of=left + len(requests)))
    before, around_before = _rate(failed_first, batches)
    value, ci = _rate(failed, batches)
    parts = {"all_requests": (failed, batches), "before_retries": (failed_first, batches)}
    if drilled := _drilled(requests, batches, log):
        parts["during_faults"] = (failed, drilled)
    return Value(
        value=value,
        observations=_in_time(failed, batches),
        n=len(requests),
        clusters=occupied,
        unit_of_n="term.time_batches",
        ci=ci,
        ci_method="reliability.wilson_time_batches",
        detail="reliability.failed_per_request",
        invalid=_why_invalid(log, requests),
        figures={"before_retry": Figure(before, "", "lower", around_before, occupied)},
        notes=notes,
        breakdown=[_by_type(requests), _parts(parts), *passed_on(log)],
    )


def _why_invalid(log: Log, requests: Columns) -> Words:
    """Why what a load failed in says nothing of the server, where there was one; a window holds for its whole load."""
    reasons = [why_invalid(window) for window in log.of(Window) if window.name == "steady"]
    return reasons[-1] if reasons and requests.where("purpose", "load").any() else ""


Batches = dict[str, list[np.ndarray]]  # of each purpose the rows of every time batch, in their order


def _batches(requests: Columns) -> Batches:
    batches = {}
    for purpose in sorted(requests.texts("purpose")):
        rows = np.flatnonzero(requests.where("purpose", purpose))
        when_ns = requests["scheduled_ns"][rows]
        begin_ns, end_ns = int(when_ns.min()), int(when_ns.max())
        count = stats.time_batches_of((end_ns - begin_ns) / NS_PER_S)
        batches[purpose] = by_time(when_ns, rows, begin_ns, end_ns, count)
    return batches


def _failed_first(requests: Columns) -> np.ndarray:
    """Which failed before any retry."""
    failed: np.ndarray = requests.has("error") | requests.has("first_try_error") | (requests["tries"] > 1)
    return failed


def _outcomes(failed: np.ndarray, batches: Batches) -> list[list[np.ndarray]]:
    """1 for each request that failed, else 0, by purpose and time batch."""
    return [[failed[batch].astype(float) for batch in series] for series in batches.values()]


def _rate(failed: np.ndarray, batches: Batches) -> tuple[float, stats.Interval]:
    outcomes = _outcomes(failed, batches)
    return stats.mean(np.concatenate([batch for series in outcomes for batch in series])), stats.share_in_time(outcomes)


def _in_time(failed: np.ndarray, batches: Batches) -> Observations:
    """One a time batch that has requests, with what is known of bursts."""
    each = [
        Observation(
            f"{purpose} {place}", f"{purpose} {place}", {"top": float(failed[batch].sum()), "bottom": len(batch)}
        )
        for purpose, series in batches.items()
        for place, batch in enumerate(series)
        if len(batch)
    ]
    bursts = stats.Burstiness.of(_outcomes(failed, batches))
    return Observations(each, share, paired=False, bursts=bursts)


def _drilled(requests: Columns, batches: Batches, log: Log) -> Batches:
    """Those that were scheduled while an injected fault lasted; nothing, if none was."""
    covered = np.zeros(len(requests), dtype=bool)
    for boot in requests.texts("boot"):
        covered |= requests.where("boot", boot) & Drill.of(log, boot).covers(requests["scheduled_ns"])
    if not covered.any():
        return {}
    return {purpose: [batch[covered[batch]] for batch in series] for purpose, series in batches.items()}


def _by_type(requests: Columns) -> Table:
    """Final states by purpose; those that succeeded in a row of their own."""
    rows: list[Row] = []
    for purpose in sorted(requests.texts("purpose")):
        part = requests.at(requests.where("purpose", purpose))
        for error in sorted(part.texts("error")):
            count = int(part.where("error", error).sum())
            rows.append([text(f"purpose.{purpose}"), failure(error), count, count / len(part)])
    columns = ["reliability.purpose", "reliability.error", "term.n", "reliability.share_of_purpose"]
    return Table.of("reliability.by_type", columns, rows)


def failure(error: str) -> Words:
    """What a request's final state is called."""
    if not error:
        return text("reliability.no_error")
    return text("reliability.failed." + error.replace(" ", "_")) if error in _ERRORS else error


def _parts(parts: Mapping[str, tuple[np.ndarray, Batches]]) -> Table:
    """All requests, the same before retries, and those scheduled while an injected fault lasted."""
    rows: dict[Key, Row] = {}
    for name, (failed, batches) in parts.items():
        chosen = np.concatenate([batch for series in batches.values() for batch in series])
        value, interval = _rate(failed, batches)
        rows[f"reliability.{name}"] = [value, *interval, int(failed[chosen].sum()), len(chosen)]
    columns = ["reliability.part", "reliability.error_rate", "term.low_95", "term.high_95"]
    return Table.of("reliability.parts", [*columns, "reliability.errors", "reliability.requests"], rows)


_TASK_ENDS = {"raised", "timeout", "crashed", "no answer", "flood", "budget", "unused endpoint"}


def task_errors(log: Log) -> Value:
    """Tasks whose system gave no answer in time, per task submitted; a wrong answer is not an error."""
    tasks = submitted(log)
    vantage, model_calls = calls(log)
    tried = by_task(model_calls)
    observations = _observations(tasks)
    clusters = [[it.adds["top"] for it in cluster] for cluster in by_cluster(observations.each)]
    figures, tools, undecided = tool_success(asked_tools(tried, ended_badly(tasks)))
    return Value(
        value=stats.mean([float(bool(task.error)) for task in tasks]),
        observations=observations,
        n=len(tasks),
        clusters=len(clusters),
        unit_of_n="accuracy.clusters",
        ci=stats.wilson_clustered(clusters),
        ci_method="accuracy.wilson_clustered",
        detail="agents.failed_per_task",
        figures=failed_calls(tried) | figures,
        notes=[
            *stopped(tasks),
            *unattributed(model_calls),
            *undecided,
            *([text("reliability.seen_by", vantage=vantage)] if model_calls else []),
        ],
        breakdown=[
            _ends_by_type(tasks, model_calls),
            *([table(tried, names(model_calls))] if model_calls else []),
            *tools,
            *passed_on(log),
        ],
    )


def _observations(submitted: Sequence[Workflow]) -> Observations:
    """One a task: the share of its samples that failed."""
    samples: dict[tuple[str, str], list[Workflow]] = {}
    for task in submitted:
        samples.setdefault((task.suite, task.item), []).append(task)
    each = []
    for (suite, item), tasks in samples.items():
        failed = stats.mean([float(bool(task.error)) for task in tasks])
        each.append(Observation(f"{suite}/{item}", f"{suite}/{tasks[0].cluster}", {"top": failed, "bottom": 1.0}))
    return Observations(each, share, paired=True)


def failed_calls(tried: dict[str, list[Request]]) -> dict[str, Figure]:
    """The share of calls that failed; those of one task are not independent."""
    clusters = [[float(bool(call.error)) for call in of_task] for of_task in tried.values()]
    if not clusters:
        return {}
    rate = stats.mean([outcome for task in clusters for outcome in task])
    return {"calls": Figure(rate, "", "lower", stats.wilson_clustered(clusters), len(clusters))}


def _ends_by_type(tasks: Sequence[Workflow], model_calls: Sequence[Request]) -> Table:
    """How tasks ended, and how calls did."""
    rows: list[Row] = []
    for error, count in sorted(Counter(task.error for task in tasks).items()):
        rows.append([text("agents.tasks"), _ended(error), count, count / len(tasks)])
    for error, count in sorted(Counter(call.error for call in model_calls).items()):
        rows.append([text("agents.calls"), failure(error), count, count / len(model_calls)])
    columns = ["agents.what", "reliability.error", "term.n", "term.share"]
    return Table.of("reliability.by_type", columns, rows)


def _ended(error: str) -> Words:
    if not error:
        return text("reliability.no_error")
    return text("agents.ended." + error.replace(" ", "_")) if error in _TASK_ENDS else error


def retries(of_task: Sequence[Request]) -> int:
    """Of one agent's calls in one task, those that were sent before, as their client says; or else follow a failure."""
    failed_before = [False, *(bool(call.error) for call in of_task)]
    return sum(
        failed if call.retry is None else call.retry > 0 for failed, call in zip(failed_before, of_task, strict=False)
    )


def table(tasks: Mapping[str, Sequence[Request]], named: Mapping[str, Words]) -> Table:
    """Each agent's calls, tokens, errors and retries, and how the gateway knew it."""
    rows: list[Row] = []
    for agent in sorted(named):
        per_task = [[call for call in of_task if call.agent == agent] for of_task in tasks.values()]
        of_agent = [call for of_task in per_task for call in of_task]
        known_by = {call.attribution for call in of_agent if agent != UNATTRIBUTED} - {"", UNATTRIBUTED}
        rows.append(
            [
                named[agent],
                len(of_agent),
                _tokens([call.tokens_in for call in of_agent]),
                _tokens([call.tokens_out for call in of_agent]),
                sum(bool(call.error) for call in of_agent),
                sum(map(retries, per_task)),
                _known_by(known_by),
            ]
        )
    columns = [
        *("agents.agent", "agents.calls", "agents.tokens_in", "agents.tokens_out"),
        *("reliability.errors", "agents.retries", "agents.known_by"),
    ]
    return Table.of("agents.agents", columns, rows)


def _known_by(ways: Collection[str]) -> Words | None:
    """By what the gateway knew an agent; None where it did not."""
    words: list[Words] = [text(f"agents.by_{way}") if way in _ATTRIBUTIONS else way for way in sorted(ways)]
    return reduce(lambda one, other: text("term.and", one=one, other=other), words) if words else None


def unattributed(model_calls: Sequence[Request]) -> list[Key | Text]:
    """Notes where nobody knows which agent some calls were of, or it is guessed."""
    count = sum(call.agent in ("", UNATTRIBUTED) and call.attribution != GUESSED for call in model_calls)
    share = f"{count / len(model_calls):.1%}" if count else ""
    unknown = text("agents.unattributed_calls", count=count, calls=len(model_calls), share=share)
    return [*([unknown] if count else []), *guessed.notes(model_calls)]


def _tokens(counts: Sequence[int | None]) -> int | None:
    """The sum; None where no call told. A call that failed has none."""
    counted = [count for count in counts if count is not None]
    return sum(counted) if counted else None
