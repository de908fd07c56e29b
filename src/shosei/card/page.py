"""The card as one HTML file: it opens offline, asks nobody for anything, and reads well without JavaScript."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import msgspec

from shosei import __version__
from shosei.card import facts
from shosei.card.numbers import band, cell, shown
from shosei.card.scorecard import PHASES, Scorecard
from shosei.card.words import LANGUAGES, MARKS, english, rendered, words
from shosei.metrics.metric import METRIC_IDS, Plot, Table

_MOST_POINTS = 600  # a curve needs no more pixels than this, and the page must stay small enough to mail


def html(card: Scorecard) -> str:
    """The whole page. Foreign text is escaped, and only the two scripts named by hash in its policy can run."""
    card = rendered(card)
    plots: list[dict[str, Any]] = []
    first_plot = {}
    for metric in card.metrics:
        first_plot[metric.id, metric.phase] = len(plots)
        plots += map(_thinned, metric.plots)
    scripts = [_asset("vendor/uplot/uPlot.iife.min.js"), _asset("templates/page.js")]
    return _template().render(
        card=card,
        cells={(metric.id, metric.phase): metric for metric in card.metrics},
        first_plot=first_plot,
        groups=METRIC_IDS,
        phases=PHASES,
        marks=MARKS,
        counts={status: sum(metric.status == status for metric in card.metrics) for status in MARKS},
        languages=LANGUAGES,
        words={key: [texts[language] for language in LANGUAGES] for key, texts in words().items()},
        plots=plots,
        style=_asset("vendor/uplot/uPlot.min.css") + _asset("templates/page.css"),
        scripts=scripts,
        script_hashes=[_policy_hash(script) for script in scripts],
        version=__version__,
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shosei.card"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # curves keep the order the metric gave them
    environment.globals |= {
        "facts": facts, "shown": shown, "band": band, "cell": cell, "english": english,
        "numeric_columns": _numeric_columns,
    }  # fmt: skip
    return environment.get_template("page.html.jinja")


def _asset(name: str) -> str:
    return files("shosei.card").joinpath(name).read_text(encoding="utf-8")


def _policy_hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _numeric_columns(table: Table) -> set[int]:
    """Columns after the first that hold a number: they are set flush right."""
    return {index for row in table.rows for index, item in enumerate(row) if index and isinstance(item, int | float)}


def _thinned(plot: Plot) -> dict[str, Any]:
    """The plot with at most ``_MOST_POINTS`` points, evenly chosen, first and last kept."""
    last = len(plot.x) - 1
    points = min(last + 1, _MOST_POINTS)
    keep = [round(index * last / max(1, points - 1)) for index in range(points)]
    values: dict[str, Any] = msgspec.to_builtins(plot)
    values["x"] = [_short(plot.x[index]) for index in keep]
    for curve in values["curves"]:
        curve["y"] = [_short(curve["y"][index]) for index in keep]
    values["thinned"] = last >= _MOST_POINTS
    return values


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
