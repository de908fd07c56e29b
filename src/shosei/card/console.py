"""The card in the terminal: 15 rows, two phases, legible at 100 columns and without colour."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as Styled

from shosei.card import facts
from shosei.card.scorecard import Scorecard
from shosei.card.words import COMPLIANCE_MARKS, MARKS, VERDICT_MARKS, Wrapped, as_words, named, worded
from shosei.metrics.metric import METRIC_IDS, PHASES, Metric, Status, text
from shosei.quantity import shown

_STYLES: dict[Status, str] = {
    "ok": "green",
    "insufficient": "yellow",
    "invalid": "bold red",
    "not_measured": "dim",
    "na": "dim",
}
_VERDICT_STYLES = {"passed": "bold green", "missed": "bold red", "inconclusive": "bold yellow", "invalid": "bold red"}


def terminal(card: Scorecard, language: str = "en") -> RenderableType:
    """A header line, the profile's verdict and the table of 30 cells, for rich's ``Console.print``."""

    def said(value: object) -> str:
        return worded(as_words(value), language)

    def term(key: str) -> str:
        return said(text(key))

    colon = term("colon")
    parts: list[RenderableType] = [Styled(said(facts.model_name(card)), style="bold")]
    parts += [
        Wrapped(Styled(f"{term(key)}{colon}{' · '.join(map(said, words))}", style="dim"))
        for key, words in facts.header(card)
    ]
    if verdict := facts.verdict(card):
        word, sentence = verdict
        parts += [
            "",
            Wrapped(Styled(f"{VERDICT_MARKS[word]} {card.profile}{colon}{said(sentence)}", _VERDICT_STYLES[word])),
        ]
    heading = _table()
    heading.add_row(*(Styled(term(key), style="dim") for key in ("metric", *PHASES)))
    parts += ["", heading]
    for group, ids in METRIC_IDS.items():
        rows = _table()
        for id in ids:
            cells = (Wrapped(_cell(card, card.cell(id, phase), language)) for phase in PHASES)
            rows.add_row(Wrapped(Styled(f"  {term(f'{id}.name')}")), *cells)
        parts += ["", Styled(term(f"group.{group}"), style="bold"), rows]
    return Group(*parts)


def _table() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=19, overflow="fold")
    for _ in PHASES:
        table.add_column(width=37, overflow="fold")
    return table


def _cell(card: Scorecard, metric: Metric, language: str) -> Styled:
    number, colon = shown(metric.value, metric.unit, metric.ci), worded(text("colon"), language)
    styled = Styled(f"{MARKS[metric.status]} ", style=_STYLES[metric.status])
    if number.value:
        styled.append(f"{number.value} {worded(named('unit', number.unit), language)}".rstrip(), style="default")
        styled.append(f" {number.interval}".rstrip() + f" n={worded(as_words(metric.n), language)}", style="dim")
    if metric.status != "ok":
        styled.append(f"{' · ' if number.value else ''}{worded(text(f'status.{metric.status}'), language)}")
    if metric.reason:
        styled.append(f"{colon}{worded(metric.reason, language)}")
    for judgement in facts.judged(card, metric.id, metric.phase):
        name = f" {judgement.figure}" if judgement.figure else ""
        limits = ", ".join(worded(limit, language) for limit in facts.limits(judgement))
        outcome = worded(text(f"outcome.{judgement.outcome}"), language)
        styled.append(f"\n{COMPLIANCE_MARKS[judgement.outcome]}{name} {limits}{colon}{outcome}", style="default")
        if judgement.outcome not in ("pass", "missed") and judgement.reason != metric.reason:
            styled.append(f"{colon}{worded(judgement.reason, language)}", style="dim")
    return styled
