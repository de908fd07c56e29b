"""The card in the terminal: 15 rows, two phases, legible at 100 columns and without colour."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as Styled

from shosei.card import facts
from shosei.card.answers import Answers
from shosei.card.glance import FEW, SHORT, at_a_glance
from shosei.card.scorecard import Scorecard
from shosei.card.words import COMPLIANCE_MARKS, MARKS, VERDICT_MARKS, Translator, Wrapped
from shosei.card.wrong_answers import in_terminal
from shosei.metrics.metric import METRIC_IDS, Metric, Phase, Status
from shosei.quantity import shown

_STYLES: dict[Status, str] = {
    "ok": "green",
    "insufficient": "yellow",
    "invalid": "bold red",
    "not_measured": "dim",
    "na": "dim",
}
_VERDICT_STYLES = {"passed": "bold green", "missed": "bold red", "inconclusive": "bold yellow", "invalid": "bold red"}


def terminal(card: Scorecard, language: str = "en", *, answers: Answers | None = None) -> RenderableType:
    """A header line, the profile's verdict, the table of 30 cells and the first wrong answers, for rich's
    ``Console.print``.
    """
    translator = Translator(language)
    term, colon = translator.term, translator.term("colon")
    parts: list[RenderableType] = [Styled(translator.of(facts.model_name(card)), style="bold")]
    parts += [
        Wrapped(Styled(f"{term(key)}{colon}{' · '.join(map(translator.of, words))}", style="dim"))
        for key, words in facts.header(card)
    ]
    if verdict := facts.verdict(card):
        word, sentence = verdict
        line = f"{VERDICT_MARKS[word]} {card.profile}{colon}{translator.of(sentence)}"
        parts += ["", Wrapped(Styled(line, _VERDICT_STYLES[word]))]
    parts += [Wrapped(Styled(f"! {translator.of(doubt)}", "bold yellow")) for doubt in facts.doubts(card)]
    parts += at_a_glance(card, translator)
    phases = facts.phases_in_sight(card)
    heading = _table(phases)
    heading.add_row(*(Styled(term(key), style="dim") for key in ("metric", *phases)))
    parts += ["", heading]
    for group, ids in METRIC_IDS.items():
        rows = _table(phases)
        for id in ids:
            cells = (Wrapped(_cell(card, card.cell(id, phase), translator)) for phase in phases)
            rows.add_row(Wrapped(Styled(f"  {term(f'{id}.name')}")), *cells)
        parts += ["", Styled(term(f"group.{group}"), style="bold"), rows]
    if facts.folded(card):
        parts += ["", Wrapped(Styled(term("training_elsewhere"), style="dim"))]
    if answers and answers.count("wrong") and not card.wrong:
        parts += ["", in_terminal(answers, translator, FEW, SHORT)]
    return Group(*parts)


def _table(phases: Sequence[Phase]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=19, overflow="fold")
    for _ in phases:
        table.add_column(width=76 // len(phases) - 1, overflow="fold")
    return table


def _cell(card: Scorecard, metric: Metric, translator: Translator) -> Styled:
    number, colon = shown(metric.value, metric.unit, metric.ci), translator.term("colon")
    styled = Styled(f"{MARKS[metric.status]} ", style=_STYLES[metric.status])
    if number.value:
        styled.append(translator.number(number), style="default")
        styled.append(f" {number.interval}".rstrip() + f" n={translator.of(metric.n)}", style="dim")
    if metric.status != "ok":
        styled.append(f"{' · ' if number.value else ''}{translator.term(f'status.{metric.status}')}")
    if metric.reason:
        styled.append(f"{colon}{translator.of(metric.reason)}")
    if rule := facts.rule(metric):
        styled.append(f"\n{translator.of(rule)}", style="default")
    for judgement in facts.judgements_of(card, metric.id, metric.phase):
        name = f" {judgement.figure}" if judgement.figure else ""
        limits = ", ".join(map(translator.of, facts.limits(judgement)))
        outcome = translator.term(f"outcome.{judgement.outcome}")
        styled.append(f"\n{COMPLIANCE_MARKS[judgement.outcome]}{name} {limits}{colon}{outcome}", style="default")
        if judgement.outcome not in ("pass", "missed") and judgement.reason != metric.reason:
            styled.append(f"{colon}{translator.of(judgement.reason)}", style="dim")
    return styled
