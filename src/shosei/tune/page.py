"""A search as one HTML file, in the card's manner: it opens offline, and reads well without JavaScript."""

from __future__ import annotations

from importlib.resources import files

from shosei import __version__
from shosei.card.page import Phrases, asset, environment, policy_hash, style
from shosei.metrics.metric import Text
from shosei.tune import views
from shosei.tune.charts import Axis, course, effects, trade_off
from shosei.tune.report import Report, figure_name


def html(report: Report, language: str | None = None) -> str:
    """The whole page, in ``language`` until the reader switches; without one, in the language of the browser.

    Foreign text is escaped, and only the script named by hash in the page's policy can run.
    """
    script = asset("templates/page.js")
    charts = files("shosei.tune").joinpath("templates/tune.css").read_text(encoding="utf-8")
    template = environment("shosei.tune").get_template("tune.html.jinja")
    return template.render(
        report=report,
        views=views,
        figure_name=figure_name,
        course=course(report),
        trade_off=trade_off(report),
        effects=effects(report),
        shares=Axis(0.0, 1.0),
        trial_number=lambda tick: f"{tick:g}",
        gain=lambda tick: _tick(report, tick, report.begin.relative),
        second_gain=lambda tick: _tick(report, tick, report.is_second_relative),
        trial_rows=[views.trial_row(report, point) for point in report.points],
        setting_rows=[views.setting_row(report, name) for name in report.space],
        phrases=Phrases(language or "en"),
        chosen=language is not None,
        style=style("templates/page.css", "templates/answers.css") + charts,
        script=script,
        script_hash=policy_hash(script),
        version=__version__,
    )


def _tick(report: Report, gain: float, relative: bool) -> Text:
    """A gain at an axis, with as many digits as its tick needs."""
    return report.percent(f"{100 * gain:+.6g}".replace("-", "−") if abs(gain) > 1e-9 else "0", relative=relative)
