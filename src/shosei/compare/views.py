"""A comparison as people read it: its headline, and its Markdown, terminal and JSON views."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as Styled

from shosei.card.words import Translator, Wrapped, escaped, markdown_table, named, to_json, translated
from shosei.compare.answer_views import answers_in_markdown, answers_in_terminal
from shosei.compare.comparison import Compared, Decision
from shosei.errors import EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_REGRESSION
from shosei.metrics.metric import PHASES, Text, Words, text
from shosei.metrics.stats import Interval
from shosei.metrics.stats.difference import Verdict, family_size
from shosei.quantity import shown

_MARKS: dict[Verdict, str] = {
    "better": "▲",
    "worse": "▼",
    "equivalent": "=",
    "inconclusive": "△",
    "invalid": "✗",
    "not_compared": "–",
}
_STYLES: dict[Verdict, str] = {
    "better": "green",
    "worse": "bold red",
    "equivalent": "green",
    "inconclusive": "yellow",
    "invalid": "bold red",
    "not_compared": "dim",
}
_FIRST: tuple[Verdict, ...] = ("worse", "invalid", "better", "inconclusive", "not_compared")
COLUMNS = (
    "metric",
    "compare.a",
    "compare.b",
    "difference",
    "compare.n",
    "compare.p",
    "compare.detectable",
    "compare.verdict",
)
_HEADLINES: dict[int, Verdict] = {EXIT_REGRESSION: "worse", EXIT_INVALID: "invalid", EXIT_INCONCLUSIVE: "inconclusive"}


def as_json(decision: Decision) -> str:
    """Everything, with the exit code, the names of the cells that decide and of those that single runs cannot."""
    return to_json(
        decision.comparison,
        exit_code=decision.exit_code,
        considered=[[cell.id, cell.phase] for cell in decision.cells],
        left_out=[[cell.id, cell.phase] for cell in decision.left_out],
    )


def markdown(decision: Decision, language: str = "en") -> str:
    """For a pull request: the verdict, the rows that made it, the rest folded away. Foreign text is escaped."""
    view = View(decision, language)
    shown_first = view.first_cells()
    equal = [cell for cell in decision.cells if cell.verdict == "equivalent"]
    lines = [f"**{escaped(view.headline())}**", ""]
    if shown_first:
        lines += [*view.table(shown_first), ""]
    if answers := decision.comparison.answers:
        lines += [f"**{escaped(view.of(answers.told))}**", ""]
    summary = view.of(text("compare.folded", equal=len(equal), uncounted=len(view.uncounted)))
    lines += ["<details>", f"<summary>{escaped(summary)}</summary>", ""]
    if equal:
        lines += [*view.table(equal), ""]
    if view.uncounted:
        lines += [escaped(view.term("compare.uncounted")), "", *view.table(view.uncounted), ""]
    lines += [f"- {escaped(reason)}" for reason in view.reasons()]
    lines += ["", "</details>", ""]
    lines += answers_in_markdown(decision.comparison, view.translator)
    return "\n".join([*lines, *(f"- {escaped(line)}" for line in view.small_print())]) + "\n"


def terminal(decision: Decision, language: str = "en") -> RenderableType:
    """The headline, the rows that count and then the others, reasons and tests, for rich's ``Console.print``."""
    view = View(decision, language)
    rows = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for number, column in enumerate(COLUMNS):
        rows.add_column(view.term(column), justify="right" if 0 < number < len(COLUMNS) - 1 else "left")
    for compared in decision.cells:
        *row, verdict = view.row(compared)
        rows.add_row(*row, Styled(verdict, style=_STYLES[compared.verdict]))
    if view.uncounted:
        rows.add_row()
        rows.add_row(view.term("compare.uncounted"), style="dim")
        for compared in view.uncounted:
            rows.add_row(*view.row(compared), style="dim")
    parts: list[RenderableType] = [Wrapped(Styled(view.headline(), style="bold")), "", rows, ""]
    parts += answers_in_terminal(decision.comparison, view.translator)
    parts += [Wrapped(Styled(f"- {reason}", style="dim")) for reason in view.reasons()]
    return Group(*parts, "", *(Wrapped(Styled(line, style="dim")) for line in view.small_print()))


class View:
    """The comparison's words in one language, for every view of it."""

    def __init__(self, decision: Decision, language: str) -> None:
        self.decision, self.comparison, self.translator = decision, decision.comparison, Translator(language)
        self.term, self.of = self.translator.term, self.translator.of
        self.uncounted = [
            cell for cell in self.comparison.cells if cell.verdict != "not_compared" and cell not in decision.cells
        ]

    def first_cells(self) -> list[Compared]:
        """Those of the cells that count that are not equivalent, in the order in which they matter."""
        cells = self.decision.cells
        return [cell for verdict in _FIRST for cell in cells if cell.verdict == verdict]

    def metric(self, id: str) -> str:
        """The metric's name, or what is told of it in money."""
        metric, _, figure = id.partition(".")
        return self.term(f"compare.{figure}" if figure else f"{metric}.name")

    def names(self, cells: Iterable[Compared]) -> str:
        """The cells in a row, each metric once."""
        comma = self.term("compare.comma")
        return comma.join(self.in_phases(id, phases) for id, phases in groupby(cells, key=lambda cell: cell.id))

    def in_phases(self, id: str, cells: Iterable[Compared]) -> str:
        """A metric's name with the phases in which it was compared."""
        phases = self.term("compare.comma").join(self.term(f"phase.{cell.phase}") for cell in cells)
        return self.of(text("in_phases", name=self.metric(id), phases=phases))

    def headline(self) -> str:
        """What the cells that decide say together, and how many cannot be decided from single runs."""
        code, cells = self.decision.exit_code, self.decision.cells
        verdicts = [cell.verdict for cell in cells]
        verdict: Verdict = _HEADLINES.get(code) or ("better" if "better" in verdicts else "equivalent")
        key: str = verdict
        if self.comparison.same_log:
            key = "same_log"
        elif not cells:
            key = "nothing"
        telling = verdict if code in (EXIT_REGRESSION, EXIT_INVALID) else "better"
        sentence = text(
            f"compare.headline_{key}",
            a=self.comparison.a,
            b=self.comparison.b,
            names=self.names(cell for cell in cells if cell.verdict == telling),
            open=verdicts.count("inconclusive") + verdicts.count("not_compared"),
            of=len(cells),
        )
        if (left_out := len(self.decision.left_out)) and not self.comparison.same_log:
            sentence = text("compare.headline_left_out", headline=sentence, count=left_out)
        return f"{_MARKS[verdict]} {self.of(sentence)}"

    def table(self, cells: Iterable[Compared]) -> list[str]:
        """One row a cell, escaped."""
        columns = [self.term(column) for column in COLUMNS]
        return markdown_table(columns, [list(map(escaped, self.row(compared))) for compared in cells])

    def row(self, compared: Compared) -> list[str]:
        """One text a column of ``COLUMNS``."""
        sign = "+" if (compared.difference or 0.0) > 0 else ""
        return [
            self.in_phases(compared.id, [compared]),
            *(self.translator.number(shown(value, compared.unit)) or "–" for value in (compared.a, compared.b)),
            sign + self.change(compared, compared.difference, compared.ci),
            self.of(compared.n or None),
            "–" if compared.p_adjusted is None else _p(compared.p_adjusted),
            self.change(compared, compared.detectable),
            f"{_MARKS[compared.verdict]} {self.term(f'compare.{compared.verdict}')}",
        ]

    def change(self, compared: Compared, value: float | None, ci: Interval = (None, None)) -> str:
        """A difference in the cell's unit, in percent of the baseline, or, of a share, in percentage points."""
        number = shown(value, "" if compared.relative else compared.unit, ci)
        points = compared.unit == "" and not compared.relative
        unit = self.term("compare.points") if points else self.of(named("unit", number.unit))
        return f"{number.value} {unit} {number.interval}".strip() if number.value else "–"

    def reasons(self) -> list[str]:
        """Why cells have no verdict, and what to know of those that have one: each sentence once, with its cells.

        What neither side has and nobody asked for is one sentence; the JSON view says why of each.
        """
        absent = [
            cell
            for cell in self.comparison.cells
            if cell.verdict == "not_compared" and cell.a is None and cell.b is None and cell not in self.decision.cells
        ]
        measured = {cell.phase for cell in self.comparison.cells if cell not in absent}
        cells: dict[str, tuple[Words, list[Compared]]] = {}  # by the English sentence
        for compared in self.comparison.cells:
            reason = text("compare.no_value") if compared in absent else compared.reason
            for words in (reason, *compared.notes):
                if words and compared.phase in measured:
                    cells.setdefault(translated(words), (words, []))[1].append(compared)
        lines = [text("compare.because", names=self.names(those), reason=why) for why, those in cells.values()]
        lines += [
            text("compare.phase_not_measured", phase=text(f"phase.{phase}"))
            for phase in PHASES
            if phase not in measured
        ]
        return list(map(self.of, lines))

    def family(self) -> Text:
        """For how many comparisons the p values are corrected, and why."""
        tested = sum(cell.p is not None for cell in self.comparison.cells)
        asked_by, family = self.decision.asked_by, self.comparison.family
        if asked_by == "nobody":
            return text("compare.family_of_all", family=family, tested=tested)
        key = "compare.family_of_one" if family == 1 else f"compare.family_of_{asked_by}"
        return text(key, family=family, all=family_size(tested))

    def small_print(self) -> list[str]:
        """What differs besides, and how the verdicts were reached."""
        comparison = self.comparison
        lines = [*comparison.warnings]
        methods = dict.fromkeys(self.of(cell.method) for cell in comparison.cells if cell.method)
        if methods:
            lines.append(text("compare.methods", methods=self.term("compare.semicolon").join(methods)))
        lines += [self.family(), text("compare.corrected", alpha=f"{comparison.alpha:g}")]
        return list(map(self.of, lines))


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
