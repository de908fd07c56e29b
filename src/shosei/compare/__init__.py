"""Two runs, or two targets measured by turns: logs in, a verdict for every cell out, and its words.

In: attempts of two sides and, if asked, a profile. Out: a ``Decision`` with its exit code, and its views. Imports the
card for its numbers and words; nothing imports it but ``cli``.
"""

from shosei.compare.comparison import MIN_PAIRS, Decision, asked_for, compare_logs, margins
from shosei.compare.junit import junit
from shosei.compare.page import html
from shosei.compare.sides import NamedAttempts, pairs_of_turns
from shosei.compare.views import as_json, markdown, terminal

__all__ = [
    "MIN_PAIRS",
    "Decision",
    "NamedAttempts",
    "as_json",
    "asked_for",
    "compare_logs",
    "html",
    "junit",
    "margins",
    "markdown",
    "pairs_of_turns",
    "terminal",
]
