"""What a search came to, as people read it: its sentences and rows, and its Markdown and terminal views."""

from __future__ import annotations

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text as Styled

from shosei.card.clauses import amount, listed
from shosei.card.excerpt import code_span, one_line
from shosei.card.words import Translator, Wrapped, escaped, markdown_table
from shosei.log import TuneFinalist, TuneTrial
from shosei.metrics.metric import Text, Words, text
from shosei.quantity import number
from shosei.tune.importance import Importance
from shosei.tune.report import Point, Report, figure_name

MARKS = {"gain": "▲", "keep": "=", "insufficient": "△", "invalid": "✗", "open": "…"}
FINALIST_COLUMNS = ["tune.candidate", "tune.gain", "tune.value", "tune.of_default", "tune.rounds", "compare.p"]
FINALIST_COLUMNS += ["tune.believed", "compare.verdict"]
IMPORTANCE_COLUMNS = ["tune.setting", "tune.share", "interval", "tune.values"]
TRIAL_COLUMNS = ["tune.number", "tune.candidate", "tune.stage", "tune.value", "tune.gain", "tune.time"]
TRIAL_COLUMNS += ["verdict.outcome"]
SETTING_COLUMNS = ["tune.setting", "tune.range", "tune.default", "tune.best"]
_STYLES = {"gain": "bold green", "keep": "bold green", "insufficient": "bold yellow", "invalid": "bold red", "open": ""}
_LONGEST = 200  # cells of a reason
_FEW = 10  # settings that a comment or a terminal lists


def headline(report: Report) -> Words:
    """The verdict in a sentence."""
    verdict, figure = report.verdict, figure_name(report.begin.figure)
    if verdict is None:
        return text("tune.headline_open", trials=len(report.trials))
    if verdict.verdict == "gain" and (best := report.best):
        gain = report.gained(best.gain, best.interval)
        return text("tune.headline_gain", candidate=report.changes(best.candidate), figure=figure, gain=gain)
    return text(f"tune.headline_{verdict.verdict}", figure=figure)


def sentences(report: Report) -> list[Words]:
    """What else to know of the verdict: what the search believed, what could have been found, what it took."""
    verdict = report.verdict
    if verdict is None:
        return []
    best, is_small = report.best, any(finalist.reason == "too_small" for finalist in report.finalists)
    because = "too_small" if verdict.reason == "unconfirmed" and is_small else verdict.reason
    lines: list[Words] = [text(f"tune.because_{because}", least=verdict.least_budget)] if because else []
    first = report.first
    if first and first.believed is not None and first.gain is not None:
        luckiest, believed, gain = map(report.gained, (verdict.luckiest, first.believed, first.gain))
        optimism = text("tune.points", gain=number(100 * (first.believed - first.gain), 1), interval="")
        candidate = report.changes(first.candidate)
        said = text(
            "tune.optimism",
            luckiest=luckiest,
            believed=believed,
            gain=gain,
            candidate=candidate,
            optimism=optimism,
        )
        lines.append(said)
    if best and best.detectable is not None and best.reason:
        lines.append(text("tune.detectable", gain=_amount(report, best.detectable)))
    spent: list[Words] = [text("tune.spent", trials=len(report.trials), time=_time(verdict.seconds))]
    if report.failed:
        spent.append(text("tune.failed", count=report.failed))
    if verdict.saved_trials:
        spent.append(text("tune.saved", trials=verdict.saved_trials, time=_time(verdict.saved_seconds)))
    return [*lines, listed(spent, "sentence")]


def facts(report: Report) -> list[tuple[str, list[Words]]]:
    """What was said before the search began."""
    begin, verdict = report.begin, report.verdict
    rows: list[tuple[str, list[Words]]] = [
        ("tune.tuned", [text(f"tune.of_{begin.subject}"), begin.target]),
        ("tune.objective", [figure_name(begin.figure), text(begin.direction), text(f"phase.{begin.of_phase}")]),
        ("tune.least", [_amount(report, begin.gain)]),
        ("tune.budget", [begin.budget]),
        ("tune.seed", [str(begin.seed)]),
    ]
    if verdict and verdict.noise is not None:
        rows.insert(3, ("tune.noise", [_amount(report, verdict.noise)]))
    if begin.profile:
        rows.insert(
            3, ("profile", [begin.profile, *(_limit(report, name, ends) for name, ends in begin.limits.items())])
        )
    return rows


def finalist_row(report: Report, finalist: TuneFinalist) -> list[Words]:
    """One text a column of ``FINALIST_COLUMNS``."""
    is_chosen = finalist is report.best and sum(not each.reason for each in report.finalists) > 1
    return [
        report.changes(finalist.candidate),
        report.gained(finalist.gain, finalist.interval),
        amount(finalist.value, report.unit),
        amount(finalist.default_value, report.unit),
        str(finalist.rounds),
        _p(finalist.p_adjusted),
        report.gained(finalist.believed),
        text(f"tune.reason_{finalist.reason}" if finalist.reason else "tune.chosen" if is_chosen else "tune.confirmed"),
    ]


def finalist_said(report: Report, finalist: TuneFinalist) -> Text:
    """What the row of a finalist has beside its gain, in a line."""
    _, _, value, default, n, p, believed, _ = finalist_row(report, finalist)
    return text("tune.finalist_said", value=value, default=default, n=n, p=p, believed=believed)


def trial_row(report: Report, point: Point) -> list[Words]:
    """One text a column of ``TRIAL_COLUMNS``."""
    trial = point.trial
    stage = text("tune.in_confirm", round=trial.round)
    if trial.stage == "search":
        stage = text("tune.in_search", rung=trial.rung + 1)
    missed = [name for name, outcome in trial.limits.items() if outcome == "missed"]
    outcome: Words = text("tune.missed", names=missed) if missed else ""
    if trial.state == "failed":
        outcome = listed([text("tune.legend_failed"), _why(trial)], "semicolon")
    cells = [report.changes(trial.candidate), stage, amount(trial.value, report.unit), report.gained(point.gain)]
    return [str(trial.number), *cells, _time(trial.seconds), outcome]


def setting_row(report: Report, name: str) -> list[Words]:
    """One text a column of ``SETTING_COLUMNS``."""
    setting, begin = report.space[name], report.begin
    values: Words = ", ".join(report.value({name: choice}, name, _LONGEST) for choice in setting.choices)
    if setting.is_range:
        values = f"{setting.low:g} – {setting.high:g}"
        values = text("tune.by_ratios", range=values) if setting.log else values
    best = report.verdict.best if report.verdict else {}
    return [name, values, report.value(begin.default, name), report.value(best, name)]


def importance_row(importance: Importance) -> list[Words]:
    """One text a column of ``IMPORTANCE_COLUMNS``."""
    low, high = importance.ci
    if importance.share is None or low is None or high is None:
        return [importance.setting, text("tune.not_told"), "–", str(importance.values)]
    share = text("clause.percent", value=f"{100 * importance.share:.0f}")
    return [importance.setting, share, f"[{100 * low:.0f}, {100 * high:.0f}]", str(importance.values)]


def markdown(report: Report, language: str = "en") -> str:
    """For a pull request: the verdict, the finalists, how to use the best candidate; the rest folded away."""
    of, term = Translator(language).of, Translator(language).term
    lines = [f"**{MARKS[report.word]} {escaped(of(headline(report)))}**", ""]
    lines += [*(f"- {escaped(of(sentence))}" for sentence in sentences(report)), ""]
    if finalists := report.finalists:
        rows = [[escaped(of(cell)) for cell in finalist_row(report, finalist)] for finalist in finalists]
        lines += [*markdown_table(list(map(term, FINALIST_COLUMNS)), rows), ""]
    if report.commands:
        lines += [term("tune.use"), "", *(f"    {command}" for command in report.commands), ""]
    lines += ["<details>", f"<summary>{escaped(term('tune.asked'))}</summary>", ""]
    lines += [f"- {escaped(term(key))}: {escaped(' · '.join(map(of, words)))}" for key, words in facts(report)]
    lines += [f"- {escaped(term('tune.target_hash'))}: {code_span(report.begin.target_hash, 64)}", ""]
    measured = [importance for importance in report.importances if importance.share is not None][:_FEW]
    rows = [[escaped(of(cell)) for cell in importance_row(importance)] for importance in measured]
    lines += [*markdown_table(list(map(term, IMPORTANCE_COLUMNS)), rows), "", escaped(term("tune.importance_method"))]
    return "\n".join([*lines, "", "</details>"]) + "\n"


def terminal(report: Report, language: str = "en") -> RenderableType:
    """The verdict, the finalists, the settings that matter and the commands, for rich's ``Console.print``."""
    of, term = Translator(language).of, Translator(language).term
    parts: list[RenderableType] = [
        Wrapped(Styled(f"{MARKS[report.word]} {of(headline(report))}", _STYLES[report.word]))
    ]
    parts += [Wrapped(Styled(of(sentence))) for sentence in sentences(report)]
    for place, finalist in enumerate(report.finalists, 1):
        name, gain, *_, standing = map(of, finalist_row(report, finalist))
        parts += ["", Wrapped(Styled(f"{place}. {name}", "bold")), Wrapped(Styled(f"   {gain}  {standing}"))]
        parts.append(Wrapped(Styled(f"   {of(finalist_said(report, finalist))}", "dim")))
    if mattering := _mattering(report):
        parts += ["", Wrapped(Styled(f"{term('tune.importance')}{term('colon')}{of(mattering)}", "dim"))]
    if report.commands:
        parts += ["", term("tune.use")]
        parts += [Styled(f"  {command}", no_wrap=True, overflow="ignore") for command in report.commands]
    return Group(*parts)


def _mattering(report: Report) -> Words:
    """The settings that are shown to matter, with their shares."""
    mattering = [each for each in report.importances if (each.ci[0] or 0.0) > 0][:_FEW]
    return listed([text("in_brackets", name=each.setting, within=importance_row(each)[1]) for each in mattering])


def _why(trial: TuneTrial) -> Words:
    """Why a trial failed. A log of before has it in English alone."""
    return msgspec.convert(trial.why, Text) if trial.why else one_line(trial.reason, _LONGEST)


def _amount(report: Report, gain: float) -> Text:
    return report.percent(f"{100 * gain:.3g}")


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _limit(report: Report, name: str, ends: dict[str, float]) -> Words:
    """A limit; of a search that is over, also whether nobody could be held against it."""
    signs = {"min": "≥", "max": "≤"}
    limit = " ".join([name, *(f"{signs[end]} {limit:,.10g}" for end, limit in ends.items())])
    is_judged = any(trial.limits.get(name, "unknown") != "unknown" for trial in report.trials)
    return limit if is_judged or not report.verdict else text("tune.not_judged", limit=limit)


def _time(seconds: float) -> Words:
    return amount(seconds, "s")
