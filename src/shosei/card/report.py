"""The card as Markdown: the 30 cells, where they were measured, and what to doubt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shosei.card import facts
from shosei.card.answers import Answers
from shosei.card.clauses import listed
from shosei.card.concerns import concerns
from shosei.card.glance import agent_columns, agent_rows, steps
from shosei.card.headline import headline
from shosei.card.held_out import held_out_rows
from shosei.card.hint import Hint, command, told
from shosei.card.remark import remark, tally
from shosei.card.scorecard import Scorecard
from shosei.card.words import COMPLIANCE_MARKS, VERDICT_MARKS, Translator, escaped, markdown_table, named
from shosei.card.wrong_answers import ALL_WRONG, in_markdown
from shosei.metrics.metric import METRIC_IDS, Metric, Phase, text
from shosei.quantity import shown


def markdown(card: Scorecard, language: str = "en", hint: Hint | None = None, *, answers: Answers | None = None) -> str:
    """GitHub-flavoured Markdown. Foreign text is escaped: it can end no table cell and open no tag.

    ``hint``: what the nearest profile would make of a run that no profile judged.
    """
    return _MarkdownCard(card, language, hint, answers).page()


def summary(card: Scorecard, language: str = "en", hint: Hint | None = None, *, answers: Answers | None = None) -> str:
    """For the page of a CI job: verdict, doubts and limits; the card is folded away. Without a profile, the card."""
    view, verdict = _MarkdownCard(card, language, hint, answers), facts.verdict(card)
    if not verdict:
        return view.page()
    word, sentence = verdict
    lines = [f"# {VERDICT_MARKS[word]} {escaped(card.profile)}{view.colon}{view.plain(sentence)}"]
    lines += [f"\n**! {view.plain(doubt)}**" for doubt in facts.doubts(card)]
    lines += [*view.judgements(), "", "<details>", f"<summary>{view.term('scorecard')}</summary>", ""]
    return "\n".join([*lines, view.page(), "</details>"]) + "\n"


class _MarkdownCard:
    def __init__(self, card: Scorecard, language: str, hint: Hint | None, answers: Answers | None) -> None:
        self.card, self.hint, self.answers, self.translator = card, hint, answers, Translator(language)
        self.term = self.translator.term
        self.colon = self.term("colon")

    def page(self) -> str:
        card, term = self.card, self.term
        lines = [f"# {self.plain(facts.title(card))}{self.colon}{term('scorecard').lower()}", ""]
        lines += [*self.opening(), *self.concerns(), ""]
        lines += self.facts(facts.header(card))
        lines += [*self.agents(), *self.wrong(), *self.cells(), *self.judgements()]
        if self.answers and self.answers.count("wrong") and not card.wrong:
            lines += in_markdown(self.answers, self.translator)
        lines += ["", f"## {term('warnings')}", ""]
        lines += [f"- {self.plain(warning)}" for warning in card.warnings] or [term("no_warnings")]
        lines += ["", f"## {term('commands')}", ""]
        rows = [
            [escaped(facts.command_line(command)), " · ".join(map(self.plain, facts.exit_text(command, times)))]
            for command, times in facts.commands(card)
        ]
        lines += markdown_table([term("command"), term("exit_code")], rows)
        lines += [*_folded(term("fold.manifest"), self.manifest()), *_folded(term("audit_folded"), self.audit())]
        return "\n".join(lines) + "\n"

    def opening(self) -> list[str]:
        """Verdict, doubts, headline, hint."""
        card, paragraphs = self.card, []
        if verdict := facts.verdict(card):
            word, sentence = verdict
            paragraphs.append(f"**{VERDICT_MARKS[word]} {escaped(card.profile)}**{self.colon}{self.plain(sentence)}")
        paragraphs += [f"**! {self.plain(doubt)}**" for doubt in facts.doubts(card)]
        opening = headline(card)
        paragraphs.append(self.plain(opening.said))
        paragraphs += [self.plain(opening.missing)] if opening.missing else []
        if self.hint:
            said = self.plain(listed([*told(self.hint), text("hint.ask")], "sentence"))
            paragraphs.append(f"> {VERDICT_MARKS[self.hint.word]} {said}{self.colon}`{command(self.hint)}`")
        return "\n\n".join(paragraphs).split("\n")

    def concerns(self) -> list[str]:
        found = concerns(self.card, self.hint)
        lines = ["", f"**{self.term('concern.title')}**", ""] if found else []
        for concern in found:
            number = escaped(self.translator.number(concern.number))
            why = " · ".join(filter(None, (number, *map(self.plain, concern.why))))
            lines.append(f"- {COMPLIANCE_MARKS[concern.outcome]} {self.plain(concern.name)}{self.colon}{why}")
        return lines

    def cells(self) -> list[str]:
        """A table a group of metrics; what the marks mean; which phases were not recorded."""
        card, term, phases = self.card, self.term, facts.phases_in_sight(self.card)
        lines = []
        for group, ids in METRIC_IDS.items():
            rows = [[term(f"{id}.name"), *(self.cell(card.cell(id, phase)) for phase in phases)] for id in ids]
            rows += self.held_out(phases) if group == "accuracy" else []
            lines += ["", f"## {term(f'group.{group}')}", ""]
            lines += markdown_table([term("metric"), *map(term, phases)], rows)
        counts = tally(facts.cells_in(card, phases))
        lines += ["", " · ".join(f"{count} {said.mark} {self.plain(said.name)}" for said, count in counts)]
        for _, sentence, records_it in facts.phases_unrecorded(card):
            lines += ["", f"{self.plain(sentence)}{self.colon}`{records_it}`"]
        return lines

    def held_out(self, phases: Sequence[Phase]) -> list[list[str]]:
        """Of the training alone."""
        rows = held_out_rows(self.card) if "training" in phases else []
        numbers = [escaped(self.translator.number(shown(row.value, row.unit))) or "–" for row in rows]
        return [
            [self.plain(row.name), f"**{number}**", *([""] * (len(phases) - 1))]
            for row, number in zip(rows, numbers, strict=True)
        ]

    def manifest(self) -> list[str]:
        lines = self.facts(facts.conditions(self.card))
        manifest = {
            "model": self.card.model.items(),
            "hardware": facts.hardware(self.card),
            "versions": self.card.versions.items(),
            "seeds": facts.seeds(self.card),
            "hashes": self.card.hashes.items(),
        }
        for key, pairs in manifest.items():
            if pairs:
                lines += ["", f"### {self.term(key)}", ""]
                lines += [f"- {self.plain(name)}{self.colon}{self.plain(value)}" for name, value in pairs]
        return lines

    def audit(self) -> list[str]:
        columns = ["model", "part", "published", "computed", "difference", "reason"]
        rows = [
            [
                row.model,
                self.plain(named("part", row.part)),
                self.plain(row.published),
                self.plain(row.computed),
                facts.difference(row),
                self.plain(row.reason),
            ]
            for row in self.card.audit
        ]
        return markdown_table([*map(self.term, columns)], rows)

    def agents(self) -> list[str]:
        if not self.card.agents:
            return []
        rows = [[escaped(words) for words in row] for row in agent_rows(self.card.agents, self.translator)]
        columns = [self.term(key) for key in agent_columns(self.card.agents)]
        lines = ["", f"## {self.term('glance.title')}", "", *markdown_table(columns, rows)]
        more = [self.plain(text("glance.more", count=self.card.agents.more))] if self.card.agents.more else []
        return [*lines, "", " ".join([self.plain(self.card.agents.path_note), *more])]

    def wrong(self) -> list[str]:
        wrong = self.card.wrong
        if not wrong:
            return []
        count = self.plain(text("wrong.of", count=wrong.count, of=wrong.of))
        lines = ["", f"## {self.term('wrong.title')}{self.colon}{count}", ""]
        if not wrong.count:
            return [*lines, self.plain(text("wrong.none", graded=wrong.graded))]
        rows = []
        for task in wrong.rows:
            said = [task.question, task.expected, task.answer] if wrong.answers else []
            why = self.colon.join(map(self.plain, task.why))
            rows.append([escaped(task.task), *map(escaped, said), why, escaped(steps(task, self.translator))])
        told = ["question", "expected", "answer"] if wrong.answers else []
        lines += markdown_table([self.term(f"wrong.{key}") for key in ("task", *told, "reason", "steps")], rows)
        if wrong.more:
            lines += ["", f"{self.plain(text('wrong.more', count=wrong.more))}{self.colon}`{ALL_WRONG}`"]
        return lines if wrong.answers else [*lines, "", self.term("wrong.left_out")]

    def plain(self, value: object) -> str:
        return escaped(self.translator.of(value))

    def cell(self, metric: Metric) -> str:
        number, said = shown(metric.value, metric.unit, metric.ci), remark(metric)
        parts = [said.mark]
        if number.value:
            value = f"**{escaped(self.translator.number(number))}** {number.interval}"
            parts = [f"{said.mark} {value}".rstrip(), f"n = {self.plain(metric.n)}"]
        if rule := facts.rule(metric):
            parts.append(self.plain(rule))
        if said.tone == "invalid":
            parts.append(f"{self.term('status.invalid')}{self.colon}{self.plain(said.words)}")
        elif said.words:
            parts.append(self.plain(said.words))
        return " · ".join(parts) + (f"{self.colon}`{said.command}`" if said.command else "")

    def judgements(self) -> list[str]:
        if not self.card.judgements:
            return []
        rows = []
        for judgement in self.card.judgements:
            name = ".".join(filter(None, (judgement.id, judgement.figure)))
            outcome = f"{COMPLIANCE_MARKS[judgement.outcome]} {self.plain(facts.outcome(judgement))}"
            limits = ", ".join(map(self.plain, facts.limits(judgement)))
            value = escaped(self.translator.number(facts.judged_value(judgement)))
            rows.append([self.term(judgement.phase), f"`{escaped(name)}`", limits, value, outcome])
            rows[-1].append(self.plain(judgement.reason))
        columns = ["phase", "figure", "verdict.limit", "verdict.value", "verdict.outcome", "reason"]
        title = f"## {self.term('verdict.limits')}{self.colon}{escaped(self.card.profile)}"
        return ["", title, "", *markdown_table([self.term(column) for column in columns], rows)]

    def facts(self, pairs: Iterable[facts.Fact]) -> list[str]:
        return [f"- {self.term(key)}{self.colon}{' · '.join(map(self.plain, words))}" for key, words in pairs]


def _folded(summary: str, lines: list[str]) -> list[str]:
    """As GitHub folds it away."""
    return ["", "<details>", f"<summary>{summary}</summary>", "", *lines, "", "</details>"]
