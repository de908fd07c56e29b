"""The card in the terminal: 15 rows, two phases, legible at 100 columns and without colour."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shosei.card import facts
from shosei.card.numbers import cell, shown
from shosei.card.scorecard import PHASES, Scorecard
from shosei.card.words import MARKS, english, rendered
from shosei.metrics.metric import METRIC_IDS, Metric, Status

_STYLES: dict[Status, str] = {
    "ok": "green", "insufficient": "yellow", "invalid": "bold red", "not_measured": "dim", "na": "dim",
}  # fmt: skip


def terminal(card: Scorecard) -> RenderableType:
    """A header line and the table of 30 cells, for rich's ``Console.print``."""
    card = rendered(card)
    parts: list[RenderableType] = [Text(facts.model_name(card), style="bold")]
    parts += [Text(f"{english(key)}: {text}", style="dim") for key, text in facts.header(card)]
    heading = _table()
    heading.add_row(*(Text(english(key), style="dim") for key in ("metric", *PHASES)))
    parts += ["", heading]
    for group, ids in METRIC_IDS.items():
        rows = _table()
        for id in ids:
            rows.add_row(f"  {english(f'{id}.name')}", *(_cell(card.cell(id, phase)) for phase in PHASES))
        parts += ["", Text(english(f"group.{group}"), style="bold"), rows]
    return Group(*parts)


def _table() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=19)
    for _ in PHASES:
        table.add_column(width=37)
    return table


def _cell(metric: Metric) -> Text:
    number = shown(metric)
    text = Text(f"{MARKS[metric.status]} ", style=_STYLES[metric.status])
    if number.value:
        text.append(str(number), style="default")
        text.append(f" {number.interval}".rstrip() + f" n={cell(metric.n)}", style="dim")
    if metric.status != "ok":
        text.append(f"{' · ' if number.value else ''}{english(f'status.{metric.status}')}")
    if metric.reason:
        text.append(f": {metric.reason}")
    return text
