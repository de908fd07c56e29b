"""A comparison as JUnit's test cases: one for each cell that decides."""

from __future__ import annotations

from shosei.card.junit import Case, Result, document
from shosei.compare.comparison import Compared, Decision
from shosei.compare.views import COLUMNS, View
from shosei.metrics.stats.difference import Verdict

_RESULTS: dict[Verdict, Result] = {
    "better": "passed",
    "equivalent": "passed",
    "worse": "failure",
    "invalid": "error",
    "inconclusive": "skipped",
    "not_compared": "skipped",
}


def junit(decision: Decision) -> str:
    """Worse is a failure, invalid an error, undecided skipped. In English, whatever the other views speak.

    Where nothing decides, or both sides are the same log, that alone stands there, skipped: an empty list looks well.
    """
    view, comparison = View(decision, "en"), decision.comparison
    cases = [_case(view, cell) for cell in decision.cells]
    if comparison.same_log or not cases:
        headline = view.headline()
        cases = [Case("compare", "verdict", "skipped", "inconclusive", headline, [headline, *view.reasons()])]
    sides = {"a": comparison.a, "b": comparison.b, "pairs": str(comparison.pairs)}
    return document("shosei compare", cases, sides)


def _case(view: View, cell: Compared) -> Case:
    columns = dict(zip(COLUMNS, view.row(cell), strict=True))
    reason = view.of(cell.reason)
    message = f"{columns['compare.a']} → {columns['compare.b']}"
    if cell.p_adjusted is not None:
        message += f", {columns['difference']}, p = {columns['compare.p']}"
    details = [f"{view.term(column)}: {words}" for column, words in columns.items()]
    details += [words for words in (view.of(cell.method), reason, *map(view.of, cell.notes)) if words]
    return Case(
        f"compare.{cell.phase}",
        cell.id,
        _RESULTS[cell.verdict],
        cell.verdict,
        f"{message}: {reason}" if reason else message,
        details,
    )
