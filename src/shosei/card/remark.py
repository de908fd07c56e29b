"""What stands beside a cell's number in every view: a mark, a few words, and the command where more would help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from shosei.metrics.metric import Metric, Text, Words, text

# ``few`` is amber: somebody who measures more learns more. ``once`` is calm: one run has one value of it, or few.
Tone = Literal["ok", "once", "few", "invalid", "not_measured", "na"]

# Told apart by shape, so that colour is never needed.
TONE_MARKS: dict[Tone, str] = {"ok": "✓", "once": "•", "few": "△", "invalid": "✗", "not_measured": "○", "na": "–"}

_TONE_NAMES: dict[Tone, str] = {
    "ok": "status.ok",
    "once": "tone.once",
    "few": "status.insufficient",
    "invalid": "status.invalid",
    "not_measured": "status.not_measured",
    "na": "status.na",
}
# Of which units whoever measures inference again can have more, and how.
_MORE = {
    "term.time_batches": "remark.longer",
    "accuracy.clusters": "remark.more_questions",
    "experience.raters": "remark.more_raters",
}
# What is measured on something that the metric's name does not say.
_CAPTIONS = {
    ("training_speed", "inference", "performance.pass"): "remark.pass",
    ("training_speed", "inference", "agents.pass"): "remark.task_pass",
    ("response_time", "training", "experience.mean_step"): "remark.step",
}
_NO_EVENTS = {
    "kind.epoch": "remark.no_training",
    "kind.step": "remark.no_training",
    "kind.score": "remark.no_questions",
    "kind.request": "remark.no_requests",
    "kind.sample": "remark.unwatched",
    "kind.proc.start": "remark.unwatched",
    "kind.restart": "remark.unwatched",
}
_SHORT = {
    "performance.no_exam": "remark.no_questions",
    "performance.no_load": "remark.no_load",
    "performance.no_steady_window": "remark.no_load",
    "agents.no_load": "remark.no_load",
    "resources.unsupervised": "remark.unwatched",
    "resources.machine_unknown": "remark.elsewhere",
    "resources.server_unknown": "remark.elsewhere",
    "resources.one_node": "remark.one_node",
    "resources.one_machine": "remark.one_machine",
}


class Remark(msgspec.Struct, frozen=True):
    """``words`` are the reason in short, or what the number is of; the whole reason stands in the opened cell."""

    tone: Tone
    words: Words = ""
    command: str = ""

    @property
    def mark(self) -> str:
        """Of the tone."""
        return TONE_MARKS[self.tone]

    @property
    def name(self) -> Text:
        """The tone in words, for screen readers."""
        return text(_TONE_NAMES[self.tone])


def remark(metric: Metric) -> Remark:
    """Of one cell. A pure function of it."""
    caption = _caption(metric)
    if metric.status == "ok":
        return Remark("ok", caption)
    if metric.status != "insufficient":
        return Remark(metric.status, _short(metric.reason))
    if not (isinstance(metric.reason, Text) and metric.reason.key == "cell.too_few"):
        return Remark("few", metric.reason, metric.command)
    if metric.clusters <= 1:
        return Remark("once", caption or text("remark.once"))
    if metric.phase == "inference" and (more := _MORE.get(few_units(metric))):
        return Remark("few", Text(more, metric.reason.values), metric.command)
    return Remark("once", Text("remark.few", metric.reason.values))


def tally(metrics: Iterable[Metric]) -> list[tuple[Remark, int]]:
    """Every tone that these cells have, without words, and how many have it."""
    tones = Counter(remark(metric).tone for metric in metrics)
    return [(Remark(tone), tones[tone]) for tone in TONE_MARKS if tones[tone]]


def few_units(metric: Metric) -> str:
    """The key of the units of which a cell has too few; empty where it has enough, or another trouble."""
    reason = metric.reason
    units = reason.values["units"] if isinstance(reason, Text) and reason.key == "cell.too_few" else ""
    return units.key if isinstance(units, Text) else ""


def _caption(metric: Metric) -> Words:
    detail = metric.detail.key if isinstance(metric.detail, Text) else ""
    key = _CAPTIONS.get((metric.id, metric.phase, detail))
    return text(key) if key else ""


def _short(reason: Words) -> Words:
    if not isinstance(reason, Text):
        return reason
    kind = reason.values.get("kind")
    key = _NO_EVENTS.get(kind.key) if isinstance(kind, Text) else _SHORT.get(reason.key)
    return text(key) if key else reason
