"""The card as one HTML file: it opens offline, asks nobody for anything, and reads well without JavaScript."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from shosei import __version__
from shosei.card import facts
from shosei.card.answers import STANDING_MARKS, Answers, fitting
from shosei.card.axis import Axis, moment
from shosei.card.clauses import listed
from shosei.card.concerns import concerns
from shosei.card.excerpt import excerpt, one_line
from shosei.card.headline import headline
from shosei.card.held_out import held_out_rows, held_out_tables, is_held_out
from shosei.card.hint import Hint, command, told
from shosei.card.reference import references
from shosei.card.remark import remark, tally
from shosei.card.scorecard import Scorecard
from shosei.card.timeline import Bar
from shosei.card.words import COMPLIANCE_MARKS, LANGUAGES, VERDICT_MARKS, as_words, named, translated
from shosei.metrics.metric import METRIC_IDS, Metric, Plot, Row, Table, Text, Words, text
from shosei.quantity import rounded, shown

MOST_BYTES = 980_000  # of the file, which can be mailed below 1 MB: as many answers are shown as fit
_MOST_POINTS = 600  # a curve needs no more pixels than this, and the page must stay small enough to mail


def html(
    card: Scorecard, language: str | None = None, hint: Hint | None = None, *, answers: Answers | None = None
) -> str:
    """The whole page, in ``language`` until the reader switches; without one, in the language of the browser.

    ``hint``: what the nearest profile would make of a run that no profile judged.
    Foreign text is escaped, and only the scripts named by hash in the page's policy can run.
    """
    phrases = Phrases(language or "en")
    if not answers:
        return _page(card, phrases, hint, chosen=language is not None)
    bare = _page(card, phrases, hint, answers, [0] * len(answers.suites), chosen=language is not None)
    columns = [suite.columns for suite in answers.suites]
    row = row_of("answer_parts.html.jinja", phrases=phrases)
    counts = fitting(
        answers.in_turn(),
        len(columns),
        MOST_BYTES - len(bare.encode()),
        lambda place, answer: len(row(answer, columns[place]).encode()),
    )
    return _page(card, Phrases(language or "en"), hint, answers, counts, chosen=language is not None)


def _page(
    card: Scorecard,
    phrases: Phrases,
    hint: Hint | None,
    answers: Answers | None = None,
    shown_of: Sequence[int] = (),
    *,
    chosen: bool,
) -> str:
    """The page with the first answers of each suite, so many as ``shown_of`` says."""
    plots: list[dict[str, Any]] = []
    first_plot = {}
    for metric in card.metrics:
        first_plot[metric.id, metric.phase] = len(plots)
        plots += [_thinned(plot, phrases) for plot in metric.plots]
    names = ["vendor/uplot/uPlot.iife.min.js", "templates/page.js", *(["templates/answers.js"] if answers else [])]
    scripts = [asset(name) for name in names]
    template = environment().get_template("page.html.jinja")
    return template.render(
        card=card,
        answers=answers,
        shown_of=shown_of,
        phrases=phrases,
        chosen=chosen,
        cells={(metric.id, metric.phase): metric for metric in card.metrics},
        references={reference.id: reference for reference in references()},
        first_plot=first_plot,
        groups=METRIC_IDS,
        phases=facts.phases_in_sight(card),
        unrecorded=facts.phases_unrecorded(card),
        headline=headline(card),
        hint=hint,
        concerns=concerns(card, hint),
        held_out=held_out_rows(card),
        plots=plots,
        style=style("vendor/uplot/uPlot.min.css", "templates/page.css", "templates/answers.css"),
        scripts=scripts,
        script_hashes=[policy_hash(script) for script in scripts],
        version=__version__,
    )


class Phrases:
    """The texts of one page, each once and in every language, so that the page can switch without asking.

    Hands out HTML in ``language`` that names its phrase by index; ``said`` is the list of phrases for the script."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.said: list[list[str]] = []  # each in the order of LANGUAGES
        self._index: dict[bytes, int] = {}

    def index(self, phrase: Text | Sequence[str]) -> int:
        """The place in ``said`` of a phrase, or of one that is worded already in each of LANGUAGES."""
        index = self._index.setdefault(msgspec.json.encode(phrase), len(self.said))
        if index == len(self.said):
            worded = [translated(phrase, each) for each in LANGUAGES] if isinstance(phrase, Text) else [*phrase]
            self.said.append(worded)
        return index

    def worded(self, wordings: Sequence[str]) -> Markup:
        """A phrase to be switched that is worded already in each of LANGUAGES."""
        place = [*LANGUAGES].index(self.language)
        return Markup('<span data-t="{}">{}</span>').format(self.index(wordings), wordings[place])

    def html(self, value: object) -> Markup:
        """A phrase to be switched, or a value that is the same in every language. Foreign text is of no known one."""
        words = as_words(value)
        if isinstance(words, Text):
            return Markup('<span data-t="{}">{}</span>').format(self.index(words), self.plain(words))
        return Markup('<span lang="">{}</span>').format(words) if isinstance(value, str) else Markup.escape(words)

    def attribute(self, name: str, phrase: object) -> Markup:
        """``name="..."`` for a tag, such as ``title`` or ``aria-label``."""
        if not isinstance(phrase, Text):
            return Markup(' {}="{}"').format(name, self.plain(phrase))
        return Markup(' {0}="{1}" data-t-{0}="{2}"').format(name, self.plain(phrase), self.index(phrase))

    def term(self, key: str) -> Markup:
        """The card's own text of ``key``."""
        return self.html(text(key))

    def plain(self, value: object) -> str:
        """The words alone, in the page's first language."""
        return translated(as_words(value), self.language)


@cache
def environment(package: str = "shosei.card") -> jinja2.Environment:
    """That of the templates of ``package``, which can use the card's."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("shosei.card")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "ensure_ascii": False, "separators": (",", ":")}
    environment.globals |= {
        "facts": facts,
        "shown": shown,
        "band": band,
        "axis_of": Axis,
        "named": named,
        "text": text,
        "numeric_columns": _numeric_columns,
        "shades": _shades,
        "bar_title": _bar_title,
        "seconds": _seconds,
        "languages": LANGUAGES,
        "remark": remark,
        "tally": tally,
        "told": told,
        "listed": listed,
        "command_of": command,
        "held_out_tables": held_out_tables,
        "is_held_out": is_held_out,
        "compliance_marks": COMPLIANCE_MARKS,
        "verdict_marks": VERDICT_MARKS,
        "standing_marks": STANDING_MARKS,
        "excerpt": excerpt,
        "one_line": one_line,
    }
    return environment


def row_of(template: str, package: str = "shosei.card", **context: object) -> Callable[..., str]:
    """The macro ``row`` of a template, for rows that are measured before the page is made."""
    module: Any = environment(package).get_template(template).make_module(context)
    return module.row  # type: ignore[no-any-return]


def asset(name: str) -> str:
    """A text file of this package: a stylesheet or a script."""
    return files("shosei.card").joinpath(name).read_text(encoding="utf-8")


def style(*names: str) -> str:
    """What all pages look like, and these stylesheets of this package."""
    theme = files("shosei").joinpath("theme.css").read_text(encoding="utf-8")
    return "".join([theme, *map(asset, names)])


def policy_hash(script: str) -> str:
    """What a page's policy names a script by that may run in it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def band(metric: Metric) -> tuple[float, float, float] | None:
    """Low end, value and high end of a share, in percent of the whole; None for what is not a share."""
    if metric.value is None or metric.unit:
        return None
    low, high = metric.ci or (None, None)
    ends = (metric.value if low is None else low, metric.value, metric.value if high is None else high)
    low, value, high = (min(100.0, max(0.0, 100.0 * end)) for end in ends)
    return low, value, high


def _numeric_columns(table: Table) -> set[int]:
    """Columns after the first that hold a number, or nothing known: they are set flush right."""
    columns = list(zip(*table.rows, strict=True))
    return {
        index
        for index, column in enumerate(columns)
        if index
        and (any(isinstance(item, int | float) for item in column) or not any(item is not None for item in column))
    }


def _shades(row: Row) -> list[float]:
    """Each item's share of its row of a matrix; 0 for what is not a number."""
    counts = [item if isinstance(item, int | float) else 0 for item in row]
    whole = sum(counts)
    return [round(count / whole, 2) if whole else 0.0 for count in counts]


def _bar_title(bar: Bar) -> Text:
    """What a pointer held over a bar of the timeline tells."""
    key = "timeline.bar_ended" if bar.how else "timeline.bar"
    return text(key, label=bar.label, how=bar.how, begin=_seconds(bar.begin), lasted=_seconds(bar.end - bar.begin))


def _seconds(value: float) -> str:
    return f"{value:,.1f} s" if value < 120 else moment(value)


def _thinned(plot: Plot, phrases: Phrases) -> dict[str, Any]:
    """The plot with at most ``_MOST_POINTS`` points, evenly chosen, first and last kept; its texts by index."""
    last = len(plot.x) - 1
    points = min(last + 1, _MOST_POINTS)
    keep = [round(index * last / max(1, points - 1)) for index in range(points)]

    def said(words: Words) -> str | int:
        return phrases.index(words) if isinstance(words, Text) else words

    return {
        "title": said(plot.title),
        "x_label": said(plot.x_label),
        "y_label": said(plot.y_label),
        "kind": plot.kind,
        "x": [rounded(plot.x[index], 6) for index in keep],
        "curves": [
            {"label": said(curve.label), "y": [rounded(curve.y[index], 6) for index in keep]} for curve in plot.curves
        ],
        "thinned": last >= _MOST_POINTS,
    }
