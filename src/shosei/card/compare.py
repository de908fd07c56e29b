"""A comparison as people read it: its headline, its exit code, and its Markdown, terminal and JSON views."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as Styled

from shosei.card.numbers import cell, shown
from shosei.card.profile import Profile
from shosei.card.report import escaped, table
from shosei.card.words import named, rendered, say
from shosei.errors import EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_OK, EXIT_REGRESSION
from shosei.metrics.comparison.comparison import KEYS, Compared, Comparison
from shosei.metrics.comparison.sides import Key
from shosei.metrics.comparison.verdict import Verdict
from shosei.metrics.metric import Figure
from shosei.metrics.stats import Interval
from shosei.metrics.text import Words, text

_MARKS: dict[Verdict, str] = {
    "better": "▲", "worse": "▼", "equivalent": "=", "inconclusive": "△", "invalid": "✗", "not_compared": "–",
}  # fmt: skip
_STYLES: dict[Verdict, str] = {
    "better": "green", "worse": "bold red", "equivalent": "green", "inconclusive": "yellow", "invalid": "bold red",
    "not_compared": "dim",
}  # fmt: skip
_CHANGED: tuple[Verdict, ...] = ("worse", "better", "invalid")
_COLUMNS = (
    "metric", "compare.a", "compare.b", "difference", "compare.n", "compare.p", "compare.detectable", "compare.verdict",
)  # fmt: skip
_HEADLINES: dict[int, Verdict] = {EXIT_REGRESSION: "worse", EXIT_INVALID: "invalid", EXIT_INCONCLUSIVE: "inconclusive"}


def margins(profile: Profile) -> dict[Key, float]:
    """The margins that a profile sets for metrics' own values."""
    required = {key: profile.requirements(key[1]).get(key[0]) for key in KEYS}
    return {key: found.margin for key, found in required.items() if found and found.margin}


def considered(comparison: Comparison, metrics: Collection[str] = (), profile: Profile | None = None) -> list[Compared]:
    """The cells that decide: of ``metrics``, else those that the profile requires, else all that could be compared.

    A metric that is named counts in the phases that both sides have; in both where it cannot be compared at all.
    """
    compared = [cell for cell in comparison.cells if cell.verdict != "not_compared"]
    if metrics:
        known = {cell.id for cell in compared}
        own = [cell for cell in comparison.cells if cell.id in metrics]
        return [cell for cell in own if cell in compared or cell.id not in known]
    if profile:
        return [cell for cell in comparison.cells if _requires(profile, cell)]
    return compared


def _requires(profile: Profile, compared: Compared) -> bool:
    requirements = profile.requirements(compared.phase)
    return any(own.required and key.partition(".")[0] == compared.id for key, own in requirements.items())


def exit_code(cells: Collection[Compared]) -> int:
    """3 if a cell is worse; else 5 if one is invalid, 4 if one is not decided or there is none; else 0."""
    verdicts = {cell.verdict for cell in cells}
    if "worse" in verdicts:
        return EXIT_REGRESSION
    if "invalid" in verdicts:
        return EXIT_INVALID
    return EXIT_INCONCLUSIVE if not verdicts or verdicts & {"inconclusive", "not_compared"} else EXIT_OK


def to_json(comparison: Comparison, cells: Collection[Compared]) -> str:
    """Everything, with the exit code of the ``cells`` that decide and their names."""
    plain = msgspec.to_builtins(rendered(comparison))
    decided = {"exit_code": exit_code(cells), "considered": [[cell.id, cell.phase] for cell in cells]}
    return json.dumps(plain | decided, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n"


def markdown(comparison: Comparison, cells: Collection[Compared], language: str = "en") -> str:
    """For a pull request: the verdict, what changed, the rest folded away. Foreign text is escaped."""
    view = _View(comparison, language)
    changed = [cell for verdict in _CHANGED for cell in comparison.cells if cell.verdict == verdict]
    rest = [cell for cell in view.compared if cell not in changed]
    columns = [view.term(column) for column in _COLUMNS]
    lines = [f"**{escaped(view.headline(cells))}**", ""]
    if changed:
        lines += [*table(columns, [list(map(escaped, view.row(cell))) for cell in changed]), ""]
    summary = escaped(view.say(text("compare.unchanged", count=len(rest))))
    lines += ["<details>", f"<summary>{summary}</summary>", ""]
    lines += [*table(columns, [list(map(escaped, view.row(cell))) for cell in rest]), ""]
    lines += [f"- {escaped(reason)}" for reason in view.reasons()]
    lines += ["", "</details>", ""]
    return "\n".join([*lines, *(f"- {escaped(line)}" for line in view.small_print())]) + "\n"


def terminal(comparison: Comparison, cells: Collection[Compared], language: str = "en") -> RenderableType:
    """The headline, one row a compared cell, the reasons and how it was tested, for rich's ``Console.print``."""
    view = _View(comparison, language)
    rows = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for number, column in enumerate(_COLUMNS):
        rows.add_column(view.term(column), justify="right" if 0 < number < len(_COLUMNS) - 1 else "left")
    for compared in view.compared:
        *row, verdict = view.row(compared)
        rows.add_row(*row, Styled(verdict, style=_STYLES[compared.verdict]))
    parts: list[RenderableType] = [Styled(view.headline(cells), style="bold"), "", rows, ""]
    parts += [Styled(f"- {reason}", style="dim") for reason in view.reasons()]
    return Group(*parts, "", *(Styled(line, style="dim") for line in view.small_print()))


class _View:
    """The comparison's words in one language."""

    def __init__(self, comparison: Comparison, language: str) -> None:
        self.comparison, self.language = comparison, language
        self.compared = [cell for cell in comparison.cells if cell.verdict != "not_compared"]

    def say(self, words: Words) -> str:
        return say(words, self.language)

    def term(self, key: str) -> str:
        return self.say(text(key))

    def name(self, compared: Compared) -> str:
        return f"{self.term(f'{compared.id}.name')} ({self.term(f'phase.{compared.phase}')})"

    def names(self, cells: Iterable[Compared]) -> str:
        """The cells in a row, each metric once."""
        comma = self.term("compare.comma")
        phases: dict[str, list[str]] = {}
        for compared in cells:
            phases.setdefault(compared.id, []).append(self.term(f"phase.{compared.phase}"))
        return comma.join(f"{self.term(f'{id}.name')} ({comma.join(own)})" for id, own in phases.items())

    def headline(self, cells: Collection[Compared]) -> str:
        """What the cells that decide say together."""
        of: dict[Verdict, list[Compared]] = {}
        for compared in cells:
            of.setdefault(compared.verdict, []).append(compared)
        code = exit_code(cells)
        open_cells = [*of.get("inconclusive", []), *of.get("not_compared", [])]
        deciding = {EXIT_REGRESSION: of.get("worse", []), EXIT_INVALID: of.get("invalid", [])}
        key: Verdict = _HEADLINES.get(code) or ("better" if "better" in of else "equivalent")
        names = self.names(deciding.get(code, of.get("better", [])))
        sentence = text(
            f"compare.headline_{key}", a=self.comparison.a, b=self.comparison.b, names=names, open=len(open_cells),
            of=len(cells),
        )  # fmt: skip
        return f"{_MARKS[key]} {self.say(sentence)}"

    def row(self, compared: Compared) -> list[str]:
        """One text a column of ``_COLUMNS``."""
        sign = "+" if (compared.difference or 0.0) > 0 else ""
        return [
            self.name(compared), self.value(compared.a, compared.unit), self.value(compared.b, compared.unit),
            sign + self.change(compared, compared.difference, compared.ci), self.say(cell(compared.n or None)),
            "–" if compared.p_adjusted is None else _p(compared.p_adjusted),
            self.change(compared, compared.detectable),
            f"{_MARKS[compared.verdict]} {self.term(f'compare.{compared.verdict}')}",
        ]  # fmt: skip

    def value(self, value: float | None, unit: str) -> str:
        number = shown(Figure(value, unit, "higher"))
        return f"{number.value} {self.say(named('unit', number.unit))}".strip() or "–"

    def change(self, compared: Compared, value: float | None, ci: Interval = (None, None)) -> str:
        """A difference in the cell's unit, in percent of the baseline, or, of a share, in percentage points."""
        number = shown(Figure(value, "" if compared.relative else compared.unit, "higher", ci))
        points = compared.unit == "" and not compared.relative
        unit = self.term("compare.points") if points else self.say(named("unit", number.unit))
        return f"{number.value} {unit} {number.interval}".strip() if number.value else "–"

    def reasons(self) -> list[str]:
        """Why cells have no verdict, and what to know of those that have one: each sentence once, with its cells."""
        cells: dict[str, list[Compared]] = {}
        for compared in self.comparison.cells:
            for words in (compared.reason, *compared.notes):
                if words:
                    cells.setdefault(self.say(words), []).append(compared)
        return [self.say(text("compare.because", names=self.names(own), reason=why)) for why, own in cells.items()]

    def small_print(self) -> list[str]:
        """What differs besides, and how the verdicts were reached."""
        comparison = self.comparison
        methods = dict.fromkeys(self.say(cell.method) for cell in comparison.cells if cell.method)
        lines = [self.say(warning) for warning in comparison.warnings]
        if methods:
            lines.append(self.say(text("compare.methods", methods=self.term("compare.semicolon").join(methods))))
        return [*lines, self.say(text("compare.corrected", family=comparison.family, alpha=f"{comparison.alpha:g}"))]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
