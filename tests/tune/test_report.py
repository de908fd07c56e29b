"""What people read of a search: the verdict and its numbers, the course, the settings that matter, the trade-off."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

import tuned
from card_samples import HOSTILE
from shosei.card.words import LANGUAGES, translated
from shosei.errors import InputError
from shosei.log import Log, TuneBegin, TuneFinalist, TuneTrial, TuneVerdict
from shosei.metrics.metric import text
from shosei.tune import views
from shosei.tune.charts import Axis, course, trade_off
from shosei.tune.page import html
from shosei.tune.record import verdict_in
from shosei.tune.report import Report


def report_of(verdict: TuneVerdict | None = None, trials: list[TuneTrial] | None = None, **begin: Any) -> Report:
    return Report("runs/tuned", tuned.begin(**begin), tuned.trials() if trials is None else trials, verdict)


def printed(report: Report, language: str = "en") -> str:
    out = io.StringIO()
    Console(file=out, width=200, no_color=True).print(views.terminal(report, language))
    return out.getvalue()


def body(page: str) -> str:
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)


def test_a_confirmed_gain_is_told_in_every_view_beside_what_the_search_believed(tmp_path: Path) -> None:
    report = Report.of(tuned.log(tmp_path), "tuned", ["shosei serve MODEL --config tuned/best.toml"])
    assert len(report.trials) == 60
    for view in (printed(report), views.markdown(report).replace("\\", ""), re.sub(r"<[^>]+>", "", html(report))):
        words = " ".join(view.split())
        assert (
            "slots = 32, weights = int4 is better than the defaults: Inference speed (goodput) +21.3 % [14.1, 28.9]"
            in words
        )
        believed = "the search believed +33.1 % of its first choice, slots = 32, weights = int4"
        assert f"showed +45.0 %, and {believed}; fresh measurements say +21.3 %" in words
        assert "Its optimism was 11.8 points" in words
        assert "saved 31 trials, about 10.7 min" in words
        assert "shosei serve MODEL --config tuned/best.toml" in words
        assert "not told from noise" in words


def test_a_larger_budget_opens_a_search_again_whatever_the_clock_says() -> None:
    begins = [tuned.begin(), tuned.begin(budget="90trials")]
    first, second = tuned.verdict("keep"), tuned.verdict(budgets=2)
    for begin, verdict in zip(begins, (first, second), strict=True):
        begin.wall_ns, verdict.wall_ns = 3, 5
    begins[1].wall_ns = 1  # the clock was set back
    assert verdict_in(Log(1, {TuneBegin: begins[:1], TuneVerdict: [first]})) is first
    assert verdict_in(Log(1, {TuneBegin: begins, TuneVerdict: [first]})) is None
    assert verdict_in(Log(1, {TuneBegin: begins, TuneVerdict: [second, first]})) is second


@pytest.mark.parametrize(
    ("word", "reason", "said"),
    [
        ("keep", "no_candidate", "Keep your defaults: no gain in Inference speed (goodput) was confirmed."),
        ("keep", "unconfirmed", "Fresh measurements did not bear out what the search believed."),
        ("insufficient", "budget", "the same command with a --budget of 13trials at least goes on from here"),
        ("insufficient", "no_candidate", "In the search no candidate looked better than the defaults."),
        ("insufficient", "rounds", "Too few rounds were measured for a test"),
        ("invalid", "default", "no trial of the defaults worked"),
    ],
)
def test_every_verdict_has_its_sentence_in_every_language(word: str, reason: str, said: str) -> None:
    finalists: list[Any] = [] if reason in ("no_candidate", "budget", "default") else tuned.verdict().finalists
    report = report_of(tuned.verdict(word, reason=reason, finalists=finalists, least_budget="13trials"))
    assert said in printed(report)
    assert "confirmed on fresh measurements" not in printed(report)
    assert len({printed(report, language).split("\n")[0] for language in LANGUAGES}) == len(LANGUAGES)
    assert f'class="headline {word}"' in html(report)


@pytest.mark.parametrize("reason", ["failed", "limits", "futile", "unproven", "too_small", "few"])
def test_a_finalist_that_is_not_confirmed_says_why(reason: str) -> None:
    first = msgspec.structs.replace(tuned.verdict().finalists[0], reason=reason, gain=None, interval=(None, None))
    report = report_of(tuned.verdict("keep", reason="unconfirmed", finalists=[first]))
    told = [translated(views.finalist_row(report, first)[-1], language) for language in LANGUAGES]
    assert len({*told}) == len(LANGUAGES)
    assert all(words in body(html(report, language)) for words, language in zip(told, LANGUAGES, strict=True))


def test_why_a_trial_failed_is_told_in_every_language_and_as_it_was_said_where_nobody_knows_more() -> None:
    page = body(html(report_of(tuned.verdict(), tuned.trials()), "ja"))
    assert "サーバー：終了コード 137 で終了：out of memory" in page
    [crashed] = [trial for trial in tuned.trials() if trial.state == "failed"]
    assert "the server ended with exit code 137" not in page
    before = report_of(None, [msgspec.structs.replace(crashed, why={})])
    assert "the server ended with exit code 137: out of memory" in body(html(before, "ja"))


def test_a_limit_that_no_trial_was_held_against_is_told_of() -> None:
    for language in LANGUAGES:
        limit = translated(text("tune.not_judged", limit="inference_speed.achieved_over_offered ≥ 0.95"), language)
        assert limit in " ".join(translated(words, language) for words in _profile(report_of(tuned.verdict())))
        assert limit not in " ".join(translated(words, language) for words in _profile(report_of(None)))
    assert _profile(report_of(tuned.verdict()))[1] == "response_time.ttft_p95 ≤ 1,000"


def _profile(report: Report) -> list[Any]:
    return dict(views.facts(report))["profile"]


def test_of_several_that_are_confirmed_the_announced_one_is_marked_wherever_it_stands() -> None:
    first, second = tuned.verdict().finalists
    better = msgspec.structs.replace(second, reason="", gain=0.4)
    report = report_of(tuned.verdict(best=better.candidate, finalists=[first, better]))
    told = [translated(views.finalist_row(report, each)[-1]) for each in report.finalists]
    assert told == ["confirmed", "confirmed, and the best of them"]
    assert "optimism was 11.8 points" in printed(report)  # of what the search would have taken, not of the best


def test_a_real_gain_that_is_too_small_is_not_called_unborne() -> None:
    small = msgspec.structs.replace(tuned.verdict().finalists[0], reason="too_small", believed=0.016, gain=0.015)
    for language in LANGUAGES:
        told = printed(report_of(tuned.verdict("keep", reason="unconfirmed", finalists=[small])), language)
        assert translated(text("tune.because_too_small"), language) in told
        assert translated(text("tune.because_unconfirmed"), language) not in told


def test_a_search_that_was_broken_off_says_how_to_go_on() -> None:
    report = report_of(None, tuned.trials(20, rounds=0))
    assert "Not finished: 21 trials so far. The same command goes on from here." in printed(report)
    assert "Confirmation" not in body(html(report))
    assert report_of(None, []).points == []
    assert "Not finished: 0 trials" in body(html(report_of(None, [])))


def test_a_search_is_over_also_where_the_wall_clock_was_set_back() -> None:
    begin, verdict = tuned.begin(boot="a", mono_ns=1, wall_ns=9), tuned.verdict(boot="a", mono_ns=2, wall_ns=5)
    assert Report.of(Log(1, {TuneBegin: [begin], TuneVerdict: [verdict]}), "tuned").verdict == verdict
    larger = tuned.begin(boot="a", mono_ns=3, wall_ns=4, budget="90trials")
    assert Report.of(Log(1, {TuneBegin: [begin, larger], TuneVerdict: [verdict]}), "tuned").word == "open"


def test_a_log_without_a_search_is_refused_in_a_line() -> None:
    with pytest.raises(InputError, match="'shosei tune' records one"):
        Report.of(Log(1, {}), "runs/mine")


def test_a_trial_that_was_measured_again_counts_once(tmp_path: Path) -> None:
    first, again = tuned.trials()[:2], tuned.trials()[1:3]
    report = Report.of(tuned.log(tmp_path, tuned.begin(), *first, *again), "tuned")
    assert [trial.number for trial in report.trials] == [1, 2, 3]


def test_gains_of_a_confirmation_are_over_the_default_of_the_same_round() -> None:
    report = report_of(tuned.verdict())
    of_round = {trial.round: trial.value for trial in report.trials if trial.stage == "confirm" and not _changes(trial)}
    confirmed = [point for point in report.points if point.trial.stage == "confirm" and _changes(point.trial)]
    assert len(confirmed) == 10
    for point in confirmed:
        default = of_round[point.trial.round]
        assert point.trial.value is not None
        assert default
        assert point.gain == pytest.approx(point.trial.value / default - 1)


def test_a_rung_of_a_training_has_the_defaults_of_its_own_and_one_of_a_server_all() -> None:
    other = tuned.BEST
    trials = [_trial(1, tuned.DEFAULT, 2.0), _trial(2, tuned.DEFAULT, 4.0, rung=1), _trial(3, other, 4.4, rung=1)]
    assert report_of(None, trials, subject="train").points[2].gain == pytest.approx(0.1)
    assert report_of(None, trials, subject="serve").points[2].gain == pytest.approx(4.4 / 3 - 1)


def test_less_is_a_gain_where_less_is_better_and_shares_gain_points() -> None:
    trials = [_trial(1, tuned.DEFAULT, 200.0), _trial(2, tuned.BEST, 150.0)]
    lower = report_of(None, trials, figure="response_time.p95", direction="lower")
    assert lower.points[1].gain == pytest.approx(0.25)
    trials = [_trial(1, tuned.DEFAULT, 0.70), _trial(2, tuned.BEST, 0.82)]
    shares = report_of(None, trials, figure="pass_at_1", relative=False)
    assert shares.points[1].gain == pytest.approx(0.12)
    assert translated(shares.gained(shares.points[1].gain)) == "+12.0 points"


def test_what_stands_beside_a_share_gains_percent() -> None:
    figure = "pass_at_1.tokens_per_solved"
    trials = [
        _trial(1, tuned.DEFAULT, 0.7, figures={figure: 800.0}),
        _trial(2, tuned.BEST, 0.8, figures={figure: 1000.0}),
    ]
    report = report_of(None, trials, figure="pass_at_1", relative=False, second_figure=figure)
    assert report.points[1].second == pytest.approx(-0.25)
    assert "−20%" in body(html(report, "ja"))


def test_a_text_is_told_by_its_number_and_a_file_by_its_name() -> None:
    long, path = "答えだけを書け。" * 20, "/home/somebody/prompts/short.txt"
    space = {
        "solve": {"type": "text", "default": "Solve it.", "choices": ["Solve it.", long]},
        "style": {"type": "file", "default": "/home/a.txt", "choices": ["/home/a.txt", path]},
    }
    best = {"solve": long, "style": path}
    report = report_of(
        None, [_trial(1, best, 0.8)], default={"solve": "Solve it.", "style": "/home/a.txt"}, space=space
    )
    assert re.fullmatch(r"solve = \[2\] 答えだけを.* … .*書け。, style = short\.txt", str(report.changes(best)))
    assert "答えだけを書け。" * 5 in body(html(report)), "what was asked tells more of it"


def test_the_line_of_the_course_is_the_highest_that_kept_every_limit() -> None:
    report = report_of(tuned.verdict())
    chart = course(report)
    assert chart
    searched = [
        point.gain for point in report.points if point.trial.stage == "search" and point.trial.is_kept and point.gain
    ]
    heights = [y for _, y in chart.corners]
    assert heights == sorted(heights)
    assert heights[-1] == chart.y.at(max(searched))
    assert sum(mark.shape == "failed" for mark in chart.marks) == report.failed == 1
    assert (
        sum(mark.shape == "missed" for mark in chart.marks)
        == sum("missed" in point.trial.limits.values() for point in report.points)
        > 0
    )
    assert chart.confirmed_from is not None
    before = [mark for mark in chart.marks if mark.x < chart.confirmed_from]
    assert len(before) == sum(trial.stage == "search" for trial in report.trials)


def test_no_candidate_beats_one_of_the_front_in_both_figures() -> None:
    report = report_of(tuned.verdict())
    chart = trade_off(report)
    assert chart
    kept = [(mark.x, mark.y) for mark in chart.marks if mark.is_kept]
    beaten = {one for one in kept for other in kept if other != one and other[0] >= one[0] and other[1] >= one[1]}
    assert set(chart.corners) == set(kept) - beaten
    assert len(chart.corners) > 3


@pytest.mark.parametrize("chart_of", [course, trade_off])
def test_the_smallest_gain_worth_having_stands_within_every_chart_also_where_all_gains_are_small(chart_of: Any) -> None:
    figures = {"response_time.ttft_p95": 260.0}
    chart = chart_of(
        report_of(None, [_trial(1, tuned.DEFAULT, 4.0, figures=figures), _trial(2, tuned.BEST, 4.01, figures=figures)])
    )
    assert 0 < chart.y.at(0.05) < 100


def test_without_a_second_figure_there_is_no_trade_off() -> None:
    trials = [msgspec.structs.replace(trial, figures={}) for trial in tuned.trials()]
    assert trade_off(report_of(tuned.verdict(), trials, second_figure="")) is None
    assert "Trade-off" not in body(html(report_of(tuned.verdict(), trials, second_figure="")))


@pytest.mark.parametrize("ends", [(0.0, 0.0), (-0.5, 1.3), (0.0003, 0.0004), (-3.0, 12000.0)])
def test_an_axis_shows_its_values_and_has_a_few_round_ticks(ends: tuple[float, float]) -> None:
    axis = Axis.over(ends)
    assert 0 < axis.at(ends[0]) <= axis.at(ends[1]) < 100
    assert 2 <= len(axis.ticks) <= 9
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)


def test_nothing_foreign_is_markup_or_steers_a_terminal(tmp_path: Path) -> None:
    bad = HOSTILE + "\x1b[31m"
    space = {"path": {"type": "choice", "default": "a", "choices": ["a", bad]}}
    trials = [
        _trial(1, {"path": "a"}, 1.0),
        _trial(2, {"path": bad}, None, state="failed", reason=bad),
        _trial(3, {"path": bad}, 1.5),
    ]
    verdict = tuned.verdict(best={"path": bad}, finalists=[TuneFinalist(candidate={"path": bad}, gain=0.5)])
    begin = tuned.begin(target=bad, default={"path": "a"}, space=space, profile=bad)
    report = Report.of(tuned.log(tmp_path, begin, *trials, verdict), bad, [bad])
    page, comment = html(report), views.markdown(report)
    assert "alert" in page
    assert "<img" not in page
    assert "<script>alert" not in page
    code = [line for line in comment.split("\n") if line.startswith("    ")]
    assert len(code) == 1
    assert "<img" not in comment.replace("\\<img", "").replace(code[0], "")
    assert "\x1b" not in printed(report) + comment


def test_equal_logs_give_equal_pages(tmp_path: Path) -> None:
    pages = [html(Report.of(tuned.log(tmp_path / name), "tuned")) for name in ("a", "b")]
    assert pages[0] == pages[1]


def _changes(trial: TuneTrial) -> bool:
    return trial.candidate != tuned.DEFAULT


def _trial(number: int, candidate: dict[str, Any], value: float | None, **more: Any) -> TuneTrial:
    place: dict[str, Any] = {"number": number, "candidate": candidate, "seed": 1, "folder": f"trials/{number:03}"}
    stage: dict[str, Any] = {"stage": "search", "round": 0, "rung": 0, "state": "done", "seconds": 2.0}
    return TuneTrial(**(place | stage | {"value": value} | more))
