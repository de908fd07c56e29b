"""What to look at first: limits that are missed or undecided, invalid measurements, failures."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shosei.card import facts
from shosei.card.clauses import requirement
from shosei.card.hint import Hint
from shosei.card.judge import Compliance, Judgement
from shosei.card.remark import remark
from shosei.card.scorecard import Scorecard
from shosei.metrics.metric import Metric, Phase, Words, text
from shosei.quantity import Shown, shown

_MOST = 5
_OF_FAILURES = ("crash_rate", "restart_count", "error_rate")


class Concern(msgspec.Struct, frozen=True):
    """A cell that needs a look: what of it, how it stands, and what was wanted or went wrong."""

    id: str
    phase: Phase
    name: Words
    outcome: Compliance
    number: Shown
    why: Sequence[Words]


def concerns(card: Scorecard, hint: Hint | None = None) -> list[Concern]:
    """The worst first, at most five, each cell once. ``hint`` stands in for a profile that nobody asked for."""
    judgements = card.judgements or (hint.judgements if hint else [])
    unkept = [judgement for judgement in judgements if judgement.outcome != "pass" and facts.counts(judgement)]
    unkept.sort(key=lambda judgement: facts.WORST_FIRST.index(judgement.outcome))
    broken = [metric for metric in card.metrics if metric.status == "invalid"]
    failing = [metric for metric in card.metrics if metric.id in _OF_FAILURES and metric.value]
    every = [*map(_of_judgement, unkept), *map(_of_metric, broken), *map(_of_metric, failing)]
    first = {(concern.id, concern.phase): concern for concern in reversed(every)}
    return [concern for concern in every if first[concern.id, concern.phase] is concern][:_MOST]


def _of_judgement(judgement: Judgement) -> Concern:
    """With what was wanted and, where it is not missed, why that cannot be told."""
    limited = judgement.value is not None and (judgement.limit_min, judgement.limit_max) != (None, None)
    why = [text("concern.wanted", limit=limit) for limit in facts.limits(judgement) if limited]
    why += [text(f"outcome.{judgement.outcome}")] if judgement.outcome != "missed" else []
    number = facts.judged_value(judgement)
    return Concern(judgement.id, judgement.phase, requirement(judgement), judgement.outcome, number, why)


def _of_metric(metric: Metric) -> Concern:
    outcome: Compliance = "invalid" if metric.status == "invalid" else "inconclusive"
    why = [remark(metric).words] if metric.status == "invalid" else [text("concern.failures")]
    return Concern(metric.id, metric.phase, text(f"{metric.id}.name"), outcome, shown(metric.value, metric.unit), why)
