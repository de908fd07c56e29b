"""The scorecard: one attempt's metrics beside what they were measured on, and its four views.

In: a ``Log`` and its 30 ``Metric``. Out: a ``Scorecard``; from it JSON, Markdown, a terminal table and one HTML file
that opens offline, each in English, Chinese or Japanese; for other programs also JUnit's XML and OpenMetrics. A pure
function of the log: no clock, no path, no network; equal logs give equal bytes. Imports the floor, ``metrics`` and, for
a profile's load, the load's settings; never the build wing, and no other room imports it but ``compare``.
"""

from shosei.card.answers import answers
from shosei.card.console import terminal
from shosei.card.hint import nearest_profile
from shosei.card.judge import exit_code_of_judgements
from shosei.card.junit import junit
from shosei.card.openmetrics import openmetrics
from shosei.card.page import html
from shosei.card.report import markdown, summary
from shosei.card.scorecard import Command, Meter, PublishedCount, Scorecard, build
from shosei.card.words import language, to_json, translated

__all__ = [
    "Command",
    "Meter",
    "PublishedCount",
    "Scorecard",
    "answers",
    "build",
    "exit_code_of_judgements",
    "html",
    "junit",
    "language",
    "markdown",
    "nearest_profile",
    "openmetrics",
    "summary",
    "terminal",
    "to_json",
    "translated",
]
