"""The comparison as one HTML file, in the card's manner: it opens offline, and reads well without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shosei import __version__
from shosei.card.answers import fitting
from shosei.card.facts import VERDICTS
from shosei.card.page import MOST_BYTES, Phrases, asset, environment, policy_hash, row_of, style
from shosei.card.words import LANGUAGES
from shosei.compare.answer_views import count_of
from shosei.compare.answers import CHANGE_MARKS
from shosei.compare.comparison import Compared, Decision
from shosei.compare.views import COLUMNS, View
from shosei.metrics.metric import text

_PACKAGE = "shosei.compare"


def html(decision: Decision, language: str | None = None) -> str:
    """The whole page, in ``language`` until the reader switches; without one, in the language of the browser.

    As many answers as keep it below 1 MB. Foreign text is escaped, and only the scripts named by hash in the page's
    policy can run.
    """
    comparison, phrases = decision.comparison, Phrases(language or "en")
    answers = comparison.answers
    suites = answers.suites if answers else []
    bare = _page(decision, phrases, [0] * len(suites), chosen=language is not None)
    if not answers:
        return bare
    row = row_of("changed_parts.html.jinja", _PACKAGE, phrases=phrases, change_marks=CHANGE_MARKS)
    several = [suite.several_samples for suite in suites]
    counts = fitting(
        answers.in_turn(),
        len(suites),
        MOST_BYTES - len(bare.encode()),
        lambda place, answer: len(row(answer, several[place], comparison.a, comparison.b).encode()),
    )
    return _page(decision, Phrases(language or "en"), counts, chosen=language is not None)


def _page(decision: Decision, phrases: Phrases, shown_of: Sequence[int], *, chosen: bool) -> str:
    """The page with the first answers of each suite, so many as ``shown_of`` says."""
    views = [View(decision, language) for language in LANGUAGES]
    first = views[0].first_cells()
    equal = [cell for cell in decision.cells if cell.verdict == "equivalent"]
    scripts = [asset("templates/page.js"), asset("templates/answers.js")]
    summary = text("compare.folded", equal=len(equal), uncounted=len(views[0].uncounted))
    template = environment(_PACKAGE).get_template("compare.html.jinja")
    return template.render(
        comparison=decision.comparison,
        phrases=phrases,
        chosen=chosen,
        verdict=VERDICTS[decision.exit_code],
        headline=[view.headline() for view in views],
        columns=COLUMNS,
        first=_rows(first, views),
        equal=_rows(equal, views),
        uncounted=_rows(views[0].uncounted, views),
        summary=summary,
        reasons=_each(view.reasons() for view in views),
        small_print=_each(view.small_print() for view in views),
        count_of=count_of,
        change_marks=CHANGE_MARKS,
        shown_of=shown_of,
        style=style("templates/page.css", "templates/answers.css"),
        scripts=scripts,
        script_hashes=[policy_hash(script) for script in scripts],
        version=__version__,
    )


def _rows(cells: Iterable[Compared], views: Sequence[View]) -> list[tuple[str, list[list[str]]]]:
    """Each cell's verdict, and its row with each text in every language."""
    return [(compared.verdict, _each(view.row(compared) for view in views)) for compared in cells]


def _each(of_languages: Iterable[list[str]]) -> list[list[str]]:
    """Lists of texts, one a language, as one list of texts in every language."""
    return [list(wordings) for wordings in zip(*of_languages, strict=True)]
