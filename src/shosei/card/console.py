"""The card in the terminal: a few sentences, then 15 rows, legible at 100 columns and without colour."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as Styled

from shosei.card import facts
from shosei.card.answers import Answers
from shosei.card.concerns import concerns
from shosei.card.glance import FEW, SHORT, at_a_glance
from shosei.card.headline import headline
from shosei.card.held_out import held_out_rows
from shosei.card.hint import Hint, command, told
from shosei.card.remark import Tone, remark, tally
from shosei.card.scorecard import Scorecard
from shosei.card.words import COMPLIANCE_MARKS, VERDICT_MARKS, Translator, Wrapped
from shosei.card.wrong_answers import in_terminal
from shosei.metrics.metric import METRIC_IDS, Metric, Phase
from shosei.quantity import shown

_STYLES: dict[Tone, str] = {
    "ok": "green",
    "once": "dim",
    "few": "yellow",
    "invalid": "bold red",
    "not_measured": "dim",
    "na": "dim",
}
_VERDICT_STYLES = {"passed": "bold green", "missed": "bold red", "inconclusive": "bold yellow", "invalid": "bold red"}


def terminal(
    card: Scorecard, language: str = "en", hint: Hint | None = None, *, answers: Answers | None = None
) -> RenderableType:
    """The verdict, the headline, the table of 30 cells and the first wrong answers, for rich's ``Console.print``.

    ``hint``: what the nearest profile would make of a run that no profile judged.
    """
    return _TerminalCard(card, language, hint, answers).page()


class _TerminalCard:
    def __init__(self, card: Scorecard, language: str, hint: Hint | None, answers: Answers | None) -> None:
        self.card, self.hint, self.answers, self.translator = card, hint, answers, Translator(language)
        self.term, self.of = self.translator.term, self.translator.of
        self.colon = self.term("colon")

    def page(self) -> RenderableType:
        card = self.card
        parts: list[RenderableType] = [Styled(self.of(facts.title(card)), style="bold")]
        parts += [self.dim(f"{self.term(key)}{self.colon}{self.row(words)}") for key, words in facts.header(card)]
        parts += ["", *self.opening(), *self.concerns(), *at_a_glance(card, self.translator), *self.cells()]
        parts += ["", self.legend()]
        for _, sentence, records_it in facts.phases_unrecorded(card):
            parts.append(self.dim(f"{self.of(sentence)}{self.colon}{records_it}"))
        if self.answers and self.answers.count("wrong") and not card.wrong:
            parts += ["", in_terminal(self.answers, self.translator, FEW, SHORT)]
        return Group(*parts)

    def opening(self) -> list[RenderableType]:
        """Verdict, doubts, headline, hint."""
        parts: list[RenderableType] = []
        if verdict := facts.verdict(self.card):
            word, sentence = verdict
            line = f"{VERDICT_MARKS[word]} {self.card.profile}{self.colon}{self.of(sentence)}"
            parts.append(Wrapped(Styled(line, _VERDICT_STYLES[word])))
        parts += [Wrapped(Styled(f"! {self.of(doubt)}", "bold yellow")) for doubt in facts.doubts(self.card)]
        opening = headline(self.card)
        parts.append(Wrapped(Styled(self.of(opening.said))))
        parts += [Wrapped(Styled(self.of(opening.missing)))] if opening.missing else []
        if self.hint:
            view, why = told(self.hint)
            parts += ["", Wrapped(Styled(f"{VERDICT_MARKS[self.hint.word]} {self.of(view)}")), self.dim(self.of(why))]
            parts.append(self.dim(f"{self.term('hint.ask')}{self.colon}{command(self.hint)}"))
        return parts

    def concerns(self) -> list[RenderableType]:
        found = concerns(self.card, self.hint)
        parts: list[RenderableType] = ["", Styled(self.term("concern.title"), style="bold")] if found else []
        for concern in found:
            mark, name = COMPLIANCE_MARKS[concern.outcome], self.of(concern.name)
            number = self.translator.number(concern.number)
            parts.append(
                Wrapped(
                    Styled(f"  {mark} {name}{self.colon}{' · '.join(filter(None, (number, self.row(concern.why))))}")
                )
            )
        return parts

    def cells(self) -> list[RenderableType]:
        phases = facts.phases_in_sight(self.card)
        heading = _table(phases)
        heading.add_row(*(Styled(self.term(key), style="dim") for key in ("metric", *phases)))
        parts: list[RenderableType] = ["", heading]
        for group, ids in METRIC_IDS.items():
            rows = _table(phases)
            for id in ids:
                cells = (Wrapped(self.cell(self.card.cell(id, phase))) for phase in phases)
                rows.add_row(Wrapped(Styled(f"  {self.term(f'{id}.name')}")), *cells)
            if group == "accuracy" and "training" in phases:
                self.add_held_out(rows)
            parts += ["", Styled(self.term(f"group.{group}"), style="bold"), rows]
        return parts

    def add_held_out(self, rows: Table) -> None:
        for row in held_out_rows(self.card):
            number = self.translator.number(shown(row.value, row.unit)) or "–"
            rows.add_row(Wrapped(Styled(f"  {self.of(row.name)}")), Wrapped(Styled(f"  {number}")))

    def cell(self, metric: Metric) -> Styled:
        number, said = shown(metric.value, metric.unit, metric.ci), remark(metric)
        styled = Styled(f"{said.mark} ", style=_STYLES[said.tone])
        if number.value:
            styled.append(self.translator.number(number), style="default")
            styled.append(f" {number.interval}".rstrip() + f" n={self.of(metric.n)}", style="dim")
        if said.tone == "invalid":
            styled.append(
                f"{' · ' if number.value else ''}{self.term('status.invalid')}{self.colon}{self.of(said.words)}"
            )
        elif said.words:
            styled.append(f"{' · ' if number.value else ''}{self.of(said.words)}")
        if said.command:
            styled.append(f"\n{said.command}", style="default")
        if rule := facts.rule(metric):
            styled.append(f"\n{self.of(rule)}", style="default")
        self.add_limits(styled, metric)
        return styled

    def add_limits(self, styled: Styled, metric: Metric) -> None:
        """What the profile asks of a cell, a line each."""
        for judgement in facts.judgements_of(self.card, metric.id, metric.phase):
            name = f" {judgement.figure}" if judgement.figure else ""
            limits = ", ".join(map(self.of, facts.limits(judgement)))
            outcome = self.term(f"outcome.{judgement.outcome}")
            styled.append(
                f"\n{COMPLIANCE_MARKS[judgement.outcome]}{name} {limits}{self.colon}{outcome}", style="default"
            )
            if judgement.outcome not in ("pass", "missed") and judgement.reason != metric.reason:
                styled.append(f"{self.colon}{self.of(judgement.reason)}", style="dim")

    def legend(self) -> RenderableType:
        """What the marks mean, and how many cells have each."""
        counts = tally(facts.cells_in(self.card, facts.phases_in_sight(self.card)))
        return self.dim(" · ".join(f"{count} {said.mark} {self.of(said.name)}" for said, count in counts))

    def row(self, words: Sequence[object]) -> str:
        return " · ".join(map(self.of, words))

    def dim(self, line: str) -> RenderableType:
        return Wrapped(Styled(line, style="dim"))


def _table(phases: Sequence[Phase]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=20, overflow="fold")
    for _ in phases:
        table.add_column(width=76 // len(phases) - 1, overflow="fold")
    return table
