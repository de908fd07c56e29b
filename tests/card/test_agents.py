"""The card of an agent system: its name, what its profile makes of tasks, and its words in three languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import agent_samples
import recorded
from shosei.card.judge import exit_code_of_judgements
from shosei.card.page import html
from shosei.card.report import markdown
from shosei.card.scorecard import Scorecard, build
from shosei.compare.comparison import compare_logs
from shosei.log import Event, Workflow, read_log
from shosei.metrics.cells import compute
from shosei.metrics.service_level import ServiceLevel
from shosei.profile.profile import read_profile
from verb import Shosei

MULTI_AGENT = read_profile("multi-agent")


def card_of(run: Path) -> Scorecard:
    log = read_log(run / "log")
    return build(log, compute(log, MULTI_AGENT.service_level), MULTI_AGENT)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Scorecard:
    return card_of(agent_samples.write_run(tmp_path_factory.mktemp("run")))


def outcomes(card: Scorecard) -> dict[str, str]:
    return {f"{judged.id}.{judged.figure}".rstrip("."): judged.outcome for judged in card.judgements}


@pytest.mark.parametrize(
    ("language", "system", "definition", "note"),
    [
        ("en", "Agent system", "Share of tasks solved, judged by", "3 of 40 tasks were stopped by their budget"),
        ("zh-CN", "智能体系统", "判定为解出的任务所占的比例", "40 个任务中有 3 个因预算"),
        ("ja", "エージェントシステム", "解けたと判定されたタスクの割合", "40 件のタスクのうち 3 件が予算"),
    ],
)
def test_it_names_the_system_and_speaks_of_tasks(
    card: Scorecard, language: str, system: str, definition: str, note: str
) -> None:
    page, report = html(card, language), markdown(card, language)
    for view in (page, report):
        assert system in view
        assert agent_samples.SYSTEM in view
        assert note in view
    assert definition in page
    assert "multi-agent" in page


def test_the_profile_judges_tasks(card: Scorecard) -> None:
    assert outcomes(card) == {
        "pass_at_1": "pass",
        "pass_at_1.tokens_per_solved": "pass",
        "response_time.p95": "not_measured",
        "inference_speed.goodput": "pass",
        "inference_speed.achieved_over_offered": "not_measured",
        "error_rate": "inconclusive",
        "crash_rate": "inconclusive",
        "memory": "pass",
    }


def test_the_profile_still_judges_the_model_alone(tmp_path: Path) -> None:
    loaded = recorded.write_changed(tmp_path, ('"verb":"serve"', '"verb":"engine"'))
    judged = card_of(loaded)
    assert exit_code_of_judgements(judged.judgements) == 0
    assert outcomes(judged)["response_time.p95"] == "pass"
    assert judged.system == ""


def test_a_solved_task_may_be_too_dear(tmp_path: Path) -> None:
    def dear(event: Event) -> Event:
        return msgspec.structs.replace(event, tokens_in=60_000) if isinstance(event, Workflow) else event

    run = recorded.write_events(tmp_path, [*map(dear, agent_samples.events())])
    assert outcomes(card_of(run))["pass_at_1.tokens_per_solved"] == "missed"


def test_a_system_worse_than_a_single_agent_has_a_negative_difference(tmp_path: Path) -> None:
    def turned(event: Event) -> Event:
        changes: dict[str, Any] = {"answer": event.truth} if isinstance(event, Workflow) and event.baseline else {}
        return msgspec.structs.replace(event, **changes)

    run = recorded.write_events(tmp_path, [*map(turned, agent_samples.events())])
    figure = card_of(run).cell("pass_at_1", "inference").figures["over_single"]
    assert figure.value == -22.5
    assert figure.ci is not None
    assert (figure.ci[0] or 0) < -22.5 < (figure.ci[1] or 0) < 0


def test_tasks_are_not_compared_with_single_requests(tmp_path: Path) -> None:
    logs = [
        read_log(write(tmp_path / name) / "log")
        for name, write in (("agents", agent_samples.write_run), ("load", recorded.write_run))
    ]
    found = compare_logs(("a", [logs[0]]), ("b", [logs[1]]), ServiceLevel(), {}, by_turns=False)
    cells = {(cell.id, cell.phase): cell for cell in found.cells}
    for id in ("inference_speed", "response_time", "error_rate"):
        assert cells[id, "inference"].verdict == "inconclusive"
        assert "tasks_and_requests" in repr(cells[id, "inference"].reason)


def test_a_profile_of_prices_alone_shows_costs_and_limits_them(shosei: Shosei, tmp_path: Path) -> None:
    run = agent_samples.write_run(tmp_path / "run")
    profile = tmp_path / "prices.toml"
    prices = 'name = "mine"\n[prices]\ncurrency = "JPY"\nin = 30\nout = 120\n'
    profile.write_text(prices, encoding="utf-8")
    code, _, _ = shosei("card", run, "--profile", profile)
    assert code == 0
    assert "cost (JPY)" in (run / "card.html").read_text(encoding="utf-8")
    for limit, expected in ((0.001, 3), (1, 0)):
        profile.write_text(
            f'{prices}[inference]\n"pass_at_1.cost_per_solved" = {{ max = {limit} }}\n', encoding="utf-8"
        )
        assert shosei("card", run, "--profile", profile)[0] == expected
