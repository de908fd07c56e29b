"""Profiles: what a file may say, how a requirement is judged, and the exit code that follows."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recorded
from load_server import SHOSEI, served
from shosei.card.judge import Compliance, Judgement, exit_code_of_judgements, judge
from shosei.card.words import translated
from shosei.errors import InputError
from shosei.load import LoadConfig
from shosei.log import Log, RunBegin, read_log
from shosei.metrics.metric import METRIC_IDS, Figure, Metric
from shosei.profile.profile import Profile, Requirement, read_profile, shipped


def response_time(**changes: Any) -> Metric:
    """400 ms [390, 410] over 40 time batches, p95 900 ms over 40."""
    given: dict[str, Any] = {
        "id": "response_time",
        "phase": "inference",
        "unit": "ms",
        "direction": "lower",
        "status": "ok",
        "value": 400.0,
        "ci": (390.0, 410.0),
        "n": 240,
        "clusters": 40,
        "figures": {"p95": Figure(900.0, "ms", "lower", (850.0, 990.0), 40), "p99": Figure(None, "ms", "lower", n=40)},
    }
    return Metric(**given | changes)


def judged(
    metric: Metric, requirement: Requirement, figure: str = "", begins: list[RunBegin] | None = None, **profile: Any
) -> Judgement:
    key = f"{metric.id}.{figure}" if figure else metric.id
    asked = Profile(name="mine", **{metric.phase: {key: requirement}}, **profile)
    (judgement,) = judge([metric], asked, Log(1, {RunBegin: begins or []}))
    assert (judgement.id, judgement.phase, judgement.figure) == (metric.id, metric.phase, figure)
    assert judgement.outcome == "pass" or translated(judgement.reason)
    return judgement


@pytest.mark.parametrize(
    ("changes", "figure", "requirement", "outcome"),
    [
        ({}, "", {"max": 410}, "pass"),
        ({}, "", {"max": 405}, "inconclusive"),
        ({}, "", {"max": 389}, "missed"),
        ({}, "", {"min": 390, "max": 410}, "pass"),
        ({}, "", {"min": 411}, "missed"),
        ({}, "", {"max": 389, "required": False}, "missed"),
        ({}, "", {}, "pass"),
        ({}, "p95", {"max": 1000}, "pass"),
        ({}, "p95", {"max": 900}, "inconclusive"),
        ({}, "p99", {"max": 900}, "not_measured"),
        ({}, "p9", {"max": 900}, "not_measured"),
        ({"clusters": 12}, "", {"max": 1000}, "insufficient"),
        ({"clusters": 12, "status": "insufficient", "reason": "few"}, "", {"max": 1000, "min_n": 12}, "pass"),
        ({"clusters": 40}, "", {"max": 1000, "min_n": 41}, "insufficient"),
        ({"clusters": 1, "ci": None}, "", {"max": 400, "min_n": 1}, "pass"),
        ({"clusters": 1, "ci": (None, None)}, "", {"max": 399, "min_n": 1}, "missed"),
        ({"ci": (390.0, None)}, "", {"max": 1000}, "inconclusive"),
        ({"ci": (390.0, None)}, "", {"max": 300}, "missed"),
        ({"ci": (390.0, None)}, "", {"min": 300}, "pass"),
        ({"status": "invalid", "reason": "client-bound"}, "", {"max": 1000}, "invalid"),
        ({"status": "invalid", "reason": "client-bound"}, "p95", {"max": 1}, "invalid"),
        ({"status": "na", "value": None, "ci": None, "clusters": 0, "reason": "no GPU"}, "", {}, "na"),
        ({"status": "not_measured", "value": None, "reason": "no load", "figures": {}}, "p95", {}, "not_measured"),
    ],
)
def test_a_limit_is_kept_or_missed_only_by_the_whole_interval(
    changes: dict[str, Any], figure: str, requirement: dict[str, Any], outcome: Compliance
) -> None:
    assert judged(response_time(**changes), Requirement(**requirement), figure).outcome == outcome


def test_a_reason_says_what_would_help() -> None:
    unknown = translated(judged(response_time(), Requirement(), "p9").reason)
    assert all(word in unknown for word in ("'p9'", "p95", "p99"))
    few = translated(judged(response_time(clusters=12), Requirement()).reason)
    assert "12" in few
    assert "30" in few
    alone = judged(response_time(ci=None), Requirement(max=500))
    assert (alone.outcome, "the value alone" in translated(alone.reason)) == ("pass", True)


finite = st.floats(-1e6, 1e6)


@given(st.tuples(finite, finite, finite), st.none() | finite, st.none() | finite)
def test_no_verdict_contradicts_the_value(
    values: tuple[float, float, float], low: float | None, high: float | None
) -> None:
    least, value, most = sorted(values)
    judgement = judged(response_time(value=value, ci=(least, most)), Requirement(min=low, max=high))
    kept = (low is None or value >= low) and (high is None or value <= high)
    if judgement.outcome == "pass":
        assert kept
    if judgement.outcome == "missed":
        assert not kept
    if least == most:
        assert judgement.outcome == ("pass" if kept else "missed")
    if low is None and high is None:
        assert judgement.outcome == "pass"


@pytest.mark.parametrize("limit", [{"max": 5}, {"min": -1}, {"min": 60, "max": 90}])
def test_a_share_takes_no_limit_in_percent(limit: dict[str, float]) -> None:
    share = response_time(id="error_rate", unit="", value=0.01, ci=(0.0, 0.02), figures={})
    with pytest.raises(InputError, match=r"error_rate is a share of 1: its limit \S+ must lie from 0 to 1"):
        judged(share, Requirement(**limit))


def test_another_load_than_the_profiles_settles_nothing() -> None:
    config = LoadConfig(rate=4, seconds=30).model_dump(mode="json")
    begins = [RunBegin(verb="load", argv=[], config=config, arrival="poisson")]
    for load, outcome in (({"rate": 4}, "pass"), ({"rate": 8, "seconds": 30}, "inconclusive"), ({}, "pass")):
        asked = {"load": LoadConfig(**load)}
        judgement = judged(response_time(), Requirement(max=1000), begins=begins, **asked)
        assert judgement.outcome == outcome, load
        if outcome == "inconclusive":
            assert all(word in translated(judgement.reason) for word in ("4 requests a second", "asks for 8"))
        few = judged(response_time(clusters=2), Requirement(), begins=begins, **asked)
        assert few.outcome == "insufficient"
        memory = Metric(
            id="memory", phase="inference", unit="bytes", direction="lower", status="ok", value=1.0, clusters=1
        )
        assert judged(memory, Requirement(max=2, min_n=1), begins=begins, **asked).outcome == "pass"


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([], 0),
        ([("pass", True)], 0),
        ([("pass", True), ("inconclusive", False), ("not_measured", False), ("invalid", False)], 0),
        ([("inconclusive", True)], 4),
        ([("insufficient", True)], 4),
        ([("not_measured", True)], 4),
        ([("na", True)], 4),
        ([("na", True), ("invalid", True)], 5),
        ([("invalid", True), ("missed", True)], 3),
        ([("missed", False), ("pass", True)], 3),
    ],
)
def test_the_gravest_judgement_decides_the_exit_code(outcomes: list[tuple[Compliance, bool]], code: int) -> None:
    judgements = [
        Judgement(id="memory", phase="training", outcome=outcome, required=required) for outcome, required in outcomes
    ]
    assert exit_code_of_judgements(judgements) == code


def test_the_shipped_profiles_limit_metrics_in_their_own_phase() -> None:
    assert set(shipped()) == {"chatbot", "multi-agent", "pretrain"}
    for name in shipped():
        profile = read_profile(name)
        assert (profile.name, bool(profile.description)) == (name, True)
        assert bool(profile.training) == (name == "pretrain")
        assert any(requirement.is_limited for requirement in (profile.training | profile.inference).values())
    chatbot = read_profile("chatbot")
    assert chatbot.load_settings() == {"arrival": "poisson", "rate": 8, "seconds": 90, "stream": True}
    assert chatbot.inference["response_time.ttft_p95"].max == chatbot.service_level.ttft_ms
    assert {key.partition(".")[0] for key in chatbot.inference} <= {id for ids in METRIC_IDS.values() for id in ids}


def test_a_figure_may_stand_in_a_table_of_its_metric_or_in_a_quoted_key(tmp_path: Path) -> None:
    forms = (
        "[inference]\nresponse_time.max = 9\nresponse_time.p95 = { max = 10 }",
        '[inference]\nresponse_time = { max = 9 }\n"response_time.p95" = { max = 10 }',
        "[inference.response_time]\nmax = 9\n[inference.response_time.p95]\nmax = 10",
    )
    for form in forms:
        file = tmp_path / "mine.toml"
        file.write_text(f'name = "mine"\n{form}\n')
        found = read_profile(str(file)).inference
        assert {key: requirement.max for key, requirement in found.items()} == {
            "response_time": 9,
            "response_time.p95": 10,
        }, form


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("[inference]\nmemry = { max = 1 }", "unknown metric 'inference.memry'; did you mean 'memory'?"),
        ("[inference]\nresponse_time = { mx = 1 }", "unknown key 'inference.response_time.mx'; did you mean 'max'?"),
        ("[training]\nmemory = 5", "training.memory: write it as a table"),
        ("[training]\nmemory = { max = 'big' }", "training.memory.max"),
        ("[training]\nmemory = { min = 2, max = 1 }", "training.memory: min 2 is above max 1"),
        ("[load]\nrte = 3", "unknown key 'load.rte'; did you mean 'rate'?"),
        ("load = 3", "load: write it as a table"),
        ("[service_level]\nttft = 3", "unknown key 'service_level.ttft'; did you mean 'ttft_ms'?"),
        ("[inferenc]\nx = 3", "unknown key 'profile.inferenc'; did you mean 'inference'?"),
        ("min_n = [", "cannot read"),
    ],
)
def test_a_wrong_profile_is_one_line_that_names_file_and_key(tmp_path: Path, lines: str, said: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\n{lines}\n')
    with pytest.raises(InputError) as error:
        read_profile(str(file))
    assert str(file) in str(error.value)
    assert said in str(error.value)


def test_a_profile_without_a_name_is_asked_for_one(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[inference]\nf1 = { min = 0.6 }\n")
    with pytest.raises(InputError, match=r"profile\.name is missing: Short name, such as chatbot\.$"):
        read_profile(str(tmp_path / "mine.toml"))


def test_a_name_is_shipped_and_a_path_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'chatbot'"):
        read_profile("chatbt")
    for path in ("nowhere.toml", f"{tmp_path}/chatbot"):
        with pytest.raises(InputError, match="cannot read"):
            read_profile(path)


def shosei(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(word) for word in (SHOSEI, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("requirement", "outcome", "code"),
    [
        ("response_time.max = 1000", "pass", 0),
        ("response_time.max = 1", "missed", 3),
        ("satisfaction.min = 0.7", "not_measured", 4),
        ("satisfaction = { min = 0.7, required = false }", "not_measured", 0),
    ],
)
def test_the_card_is_written_whatever_the_verdict(tmp_path: Path, requirement: str, outcome: str, code: int) -> None:
    run, file = recorded.write_run(tmp_path / "run"), tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\ndescription = "For me."\n[inference]\n{requirement}\n')
    done = shosei("card", run, "--profile", file, "--json")
    assert done.returncode == code, done.stderr
    assert f"exit code {code}" in done.stderr
    card = json.loads(done.stdout)
    assert (card["profile"], card["profile_description"]) == ("mine", "For me.")
    assert [judgement["outcome"] for judgement in card["judgements"]] == [outcome]
    for name in ("card.html", "card.md"):
        assert (run / name).stat().st_size > 1000
    assert (run / "card.json").read_text() == done.stdout


def test_a_profile_that_requires_nothing_judges_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\n[load]\nrate = 2\n')
    asked = shosei("card", recorded.write_run(tmp_path / "run"), "--profile", tmp_path / "mine.toml")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "profile mine requires nothing" in asked.stderr


def test_without_a_profile_nothing_is_judged(tmp_path: Path) -> None:
    done = shosei("card", recorded.write_run(tmp_path / "run"), "--json")
    assert (done.returncode, json.loads(done.stdout)["judgements"]) == (0, [])


def test_a_load_takes_the_profiles_settings_where_nothing_else_is_said(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\n[load]\nrate = 20\nseconds = 0.5\nwarmup_s = 0\nmax_tokens = 7\n')
    with served() as server:
        load = ("load", server.url, "--run", tmp_path / "run", "--profile", file, "--set", "load.max_tokens=9")
        done = shosei(*load)
    assert done.returncode == 0, done.stderr
    (begin,) = read_log(tmp_path / "run" / "log").of(RunBegin)
    assert begin.profile == "mine"
    found = {key: begin.config[key] for key in ("rate", "seconds", "warmup_s", "max_tokens", "timeout_s")}
    assert found == {"rate": 20, "seconds": 0.5, "warmup_s": 0, "max_tokens": 9, "timeout_s": 120}


def priced(tmp_path: Path, text: str) -> Profile:
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\n{text}', encoding="utf-8")
    return read_profile(str(file))


def test_a_price_table_names_a_currency_a_default_and_models(tmp_path: Path) -> None:
    profile = priced(
        tmp_path,
        """
        [prices]
        currency = "JPY"
        in = 30
        out = 120.5
        [prices.models."vendor/big-1.5"]
        in = 300
        out = 1200
        cached = 75
        """,
    )
    assert profile.prices
    default, big = profile.prices.of("any"), profile.prices.of("vendor/big-1.5")
    assert default
    assert big
    assert (profile.prices.currency, default.tokens_in, default.tokens_out, default.tokens_cached) == (
        "JPY",
        30,
        120.5,
        None,
    )
    assert (big.tokens_in, big.tokens_out, big.tokens_cached) == (300, 1200, 75)
    only = priced(tmp_path, '[prices]\ncurrency = "USD"\n[prices.models]\nm = { in = 1, out = 2 }').prices
    assert only
    assert only.of("other") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[prices]\ncurrency = "USD"', "give 'in' and 'out'"),
        ('[prices]\ncurrency = "USD"\nin = 1', "prices.out is missing"),
        ("[prices]\nin = 1\nout = 2", "prices.currency is missing"),
        ('[prices]\ncurrency = "dollars"\nin = 1\nout = 2', "prices.currency"),
        ('[prices]\ncurrency = "USD"\nin = -1\nout = 2', "prices.in: "),
        ('[prices]\ncurrency = "USD"\nin = 1\nout = 2\ncache = 1', "unknown key 'prices.cache'"),
        ('[prices]\ncurrency = "USD"\n[prices.models.m]\nin = 1\noutput = 2', "unknown key 'prices.models.m.output'"),
        ('[prices]\ncurrency = "USD"\nmodels = 3', "prices.models: write it as a table"),
        ("prices = 3", "prices: write it as a table"),
    ],
)
def test_a_wrong_price_table_is_refused_by_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        priced(tmp_path, text)
