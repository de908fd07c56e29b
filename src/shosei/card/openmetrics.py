"""The card in OpenMetrics' text format 1.0, for dashboards and alerts.

Only gauges, and no timestamps: so what reads Prometheus' older text format takes it too, such as the textfile collector
of node_exporter and the Pushgateway. What has no value that counts has no sample; its status says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from shosei.card.judge import exit_code_of_judgements, figure_of
from shosei.card.scorecard import Scorecard
from shosei.card.words import Translator
from shosei.metrics.metric import POINTS, Figure, Metric
from shosei.quantity import rounded

_PREFIX = "shosei_card"
# Our units in the base units of OpenMetrics, and how many of these one of ours is. Others are only spelt out.
_BASE_UNITS: dict[str, tuple[float, str]] = {
    "": (1.0, "ratio"),
    POINTS: (0.01, "ratio"),
    "×": (1.0, "ratio"),
    "0/1": (1.0, ""),
    "ms": (1e-3, "seconds"),
    "s": (1.0, "seconds"),
    "s/task": (1.0, "seconds_per_task"),
    "h": (3600.0, "seconds"),
    "/1000 h": (1.0, "per_1000_hours"),
    "MB/s": (1e6, "bytes_per_second"),
    "Gbps": (1e9, "bits_per_second"),
}

Labels = dict[str, str]


@dataclass(slots=True)
class _Family:
    """Samples of one name, which ends in their unit."""

    name: str
    unit: str
    help: str
    samples: dict[str, float] = field(default_factory=dict)  # by their labels

    def lines(self) -> Iterator[str]:
        yield f"# TYPE {self.name} gauge"
        if self.unit:
            yield f"# UNIT {self.name} {self.unit}"
        yield f"# HELP {self.name} {self.help}"
        for labels, value in self.samples.items():
            yield f"{self.name}{{{labels}}} {value!r}"


def openmetrics(card: Scorecard) -> str:
    """Values of ``ok`` and ``insufficient`` cells in base units, their figures and intervals; every cell's status.

    With a profile also the outcome of each requirement, and the exit code. Labels: run, attempt, metric, phase, figure.
    """
    page = _Page({"run": card.run, "attempt": str(card.attempt)})
    if card.started:
        started = datetime.fromisoformat(card.started).timestamp()
        page.add("started_timestamp", "seconds", "When the first verb of the attempt began", {}, started)
    for metric in card.metrics:
        page.add_metric(metric)
    for judgement in card.judgements:
        labels = {"metric": judgement.id, "phase": judgement.phase} | _named(judgement.figure)
        labels |= {"profile": card.profile, "required": str(judgement.required).lower(), "outcome": judgement.outcome}
        page.add("requirement", "", "What the profile requires, by its outcome", labels, 1.0)
    if card.judgements:
        code = exit_code_of_judgements(card.judgements)
        help = "Verdict by the profile: 0 kept, 3 missed, 4 not shown, 5 invalid"
        page.add("exit_code", "", help, {"profile": card.profile}, float(code))
    return page.text()


class _Page:
    """All families, in the order of their first samples: those of one family stand together."""

    def __init__(self, labels: Labels) -> None:
        self._labels, self._families = labels, dict[str, _Family]()

    def add(self, name: str, unit: str, help: str, labels: Labels, value: float | None) -> None:
        """Add a sample, unless there is no number."""
        if (number := rounded(value)) is None:
            return
        name = "_".join(filter(None, (_PREFIX, name, unit)))
        family = self._families.setdefault(name, _Family(name, unit, help))
        family.samples[_labels(self._labels | labels)] = number

    def add_metric(self, metric: Metric) -> None:
        labels = {"metric": metric.id, "phase": metric.phase}
        status = {"status": metric.status}
        self.add("status", "", "Whether a cell of the card has a value that counts", labels | status, 1.0)
        if metric.status not in ("ok", "insufficient"):
            return
        self.add("observations", "", "What a cell's value rests on", labels, float(metric.n))
        for name in ("", *metric.figures):
            if figure := figure_of(metric, name):
                self._add_figure(metric, figure, labels | _named(name))

    def _add_figure(self, metric: Metric, figure: Figure, labels: Labels) -> None:
        factor, unit = _in_base_units(figure.unit)
        low, high = figure.ci or (None, None)
        name = Translator("en").term(f"{metric.id}.name")
        parts = {
            "": (figure.value, name),
            "_ci_low": (low, f"{name}: lower end of the 95 % interval"),
            "_ci_high": (high, f"{name}: upper end of the 95 % interval"),
        }
        for part, (value, help) in parts.items():
            self.add(f"{metric.id}{part}", unit, help, labels, None if value is None else factor * value)

    def text(self) -> str:
        lines = [line for family in self._families.values() for line in family.lines()]
        return "\n".join([*lines, "# EOF"]) + "\n"


def _named(figure: str) -> Labels:
    """The label of a figure; a metric's own value has none."""
    return {"figure": figure} if figure else {}


def _in_base_units(unit: str) -> tuple[float, str]:
    """How many base units one ``unit`` is, and their name: ``ms`` are 0.001 ``seconds``."""
    if unit in _BASE_UNITS:
        return _BASE_UNITS[unit]
    words = re.sub("/s$", "/second", unit).replace("/", " per ").lower()
    return 1.0, re.sub("[^a-z0-9]+", "_", words).strip("_")


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    """As the format has it; other line ends and what no text holds would end a sample for some readers."""
    printable = re.sub(r"[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", value)
    return printable.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
