"""The card of an agent system: its name, what its profile makes of tasks, and its words in three languages."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

import agent_samples
import card_samples
import recorded
from shosei.card.console import terminal
from shosei.card.judge import exit_code_of_judgements
from shosei.card.page import html
from shosei.card.report import markdown
from shosei.card.scorecard import Scorecard, build
from shosei.card.words import to_json
from shosei.compare.comparison import compare_logs
from shosei.log import Event, Log, Request, RunBegin, Score, Workflow, read_log
from shosei.metrics import Metric
from shosei.metrics.cells import compute
from shosei.metrics.prices import Prices
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


QUESTION = "次のかなを" + "カタカナに直してください。" * 30


def asked(event: Event) -> Event:
    """Scores with questions, some long, and answers that a browser must not run."""
    if not isinstance(event, Score):
        return event
    return msgspec.structs.replace(event, question=QUESTION, lang="ja", answer=event.answer or card_samples.HOSTILE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write_events(tmp_path_factory.mktemp("asked"), [*map(asked, agent_samples.events())])


def gateway_alone(folder: Path, **changes: Any) -> Path:
    seen = [event for event in agent_samples.events() if isinstance(event, Request) and event.seen_by == "gateway"]
    begin = RunBegin(verb="gateway", argv=["shosei", "gateway"], phase="inference")
    return recorded.write_events(folder, [begin, *(msgspec.structs.replace(call, **changes) for call in seen)])


def of_log(run: Path) -> tuple[Log, list[Metric]]:
    log = read_log(run / "log")
    return log, compute(log)


def plain_card(run: Path, *, answers: bool = True) -> dict[str, Any]:
    """The card's JSON."""
    found: dict[str, Any] = json.loads(to_json(build(*of_log(run), answers=answers)))
    return found


def test_the_agents_stand_in_the_order_of_the_critical_path(run: Path) -> None:
    agents = plain_card(run)["agents"]
    assert (agents["more"], agents["currency"]) == (0, "")
    of_tools = {"tool_calls": 0, "tool_success": None, "cost": None}
    assert agents["rows"] == [
        {"name": "kana", "path_share": 0.6, "calls": 40, "tokens_in": 800, "tokens_out": 200, "errors": 0}
        | {"guessed": False}
        | of_tools,
        {"name": "router", "path_share": 0.2, "calls": 40, "tokens_in": 800, "tokens_out": 200, "errors": 0}
        | {"guessed": False, "tool_calls": 40, "tool_success": pytest.approx(20 / 35), "cost": None},
        {"name": "sums", "path_share": 0.0, "calls": 48, "tokens_in": 800, "tokens_out": 200, "errors": 8}
        | {"guessed": False}
        | of_tools,
    ]


def test_agents_have_their_cost_where_the_profile_has_prices(run: Path) -> None:
    """20 tokens in and 5 out a call: at 1 and 10 a million, 0.00007 each; a call that failed cost nothing."""
    log = read_log(run / "log")
    price = {"in": 1.0, "out": 10.0}
    prices = Prices.model_validate({"currency": "JPY", "default": price})
    built = build(log, compute(log, None, prices))
    assert built.agents
    assert {agent.name: agent.cost for agent in built.agents.rows} == {
        name: pytest.approx(40 * 70e-6) for name in ("kana", "router", "sums")
    }
    for view in (html(built), markdown(built)):
        assert "0.00280 JPY" in view


def test_the_wrong_tasks_are_told_with_their_reason_and_who_worked_on_them(run: Path) -> None:
    wrong = plain_card(run)["wrong"]
    expected = [n for n in range(agent_samples.TASKS) if not agent_samples.solved(n)]
    assert (wrong["count"], wrong["of"], wrong["ungraded"]) == (len(expected), agent_samples.TASKS, 0)
    assert [row["task"] for row in wrong["rows"]] == [f"t{n}" for n in expected]
    rows = {row["task"]: row for row in wrong["rows"]}
    assert rows["t5"]["reason"] == "graded wrong"
    assert rows["t5"]["expected"] == "5"
    assert [step["agent"] for step in rows["t5"]["steps"]] == ["router", "sums", "kana", "sums"]
    assert (rows["t9"]["reason"], rows["t9"]["detail"]) == ("stopped by its budget", "calls")
    assert rows["t39"]["reason"] == "raised an exception"
    for row in rows.values():
        assert cell_len(row["question"]) <= 200
        assert row["question"].startswith("次のかなを")
        assert row["question"].endswith("カタカナに直してください。")


def test_a_card_is_told_without_what_was_asked_and_answered(run: Path) -> None:
    private = plain_card(run, answers=False)["wrong"]
    assert private["count"] == plain_card(run)["wrong"]["count"]
    assert {row["question"] + row["answer"] + row["expected"] for row in private["rows"]} == {""}
    assert "calls" in {row["detail"] for row in private["rows"]}
    built = build(*of_log(run), answers=False)
    for view in (html(built), markdown(built)):
        assert "カタカナに直し" not in view
        assert "Questions and answers were left out" in view


def test_at_most_twenty_wrong_tasks_and_the_command_for_the_rest(tmp_path: Path) -> None:
    def failed(event: Event) -> Event:
        return msgspec.structs.replace(event, answer="?") if isinstance(event, Score) else event

    built = build(*of_log(recorded.write_events(tmp_path, [*map(failed, agent_samples.events())])))
    assert built.wrong
    assert (built.wrong.count, len(built.wrong.rows)) == (40, 20)
    for view in (html(built, "en"), markdown(built)):
        assert "and 20 more" in view
        assert "shosei card RUN --wrong" in view


def test_a_task_for_a_judge_is_wrong_only_if_it_failed(tmp_path: Path) -> None:
    def judged(event: Event) -> Event:
        return msgspec.structs.replace(event, grader="judge") if isinstance(event, Score) else event

    wrong = plain_card(recorded.write_events(tmp_path, [*map(judged, agent_samples.events())]))["wrong"]
    assert (wrong["count"], wrong["of"], wrong["ungraded"]) == (4, 40, 36)
    assert [row["task"] for row in wrong["rows"]] == ["t9", "t19", "t29", "t39"]


def test_all_tasks_solved_is_said(tmp_path: Path) -> None:
    def right(event: Event) -> Event:
        if isinstance(event, Score):
            return msgspec.structs.replace(event, answer=event.truth, error="")
        return msgspec.structs.replace(event, error="") if isinstance(event, Workflow) else event

    run = recorded.write_events(tmp_path, [*map(right, agent_samples.events())])
    assert "None: all 40 that were graded are solved." in markdown(build(*of_log(run)))


def test_a_gateway_alone_gives_the_agents_and_tells_which_are_guessed(tmp_path: Path) -> None:
    card = plain_card(gateway_alone(tmp_path / "guessed", attribution="prompt"))
    assert [row["name"].split()[0] for row in card["agents"]["rows"]] == ["kana", "router", "sums"]
    assert [row["path_share"] for row in card["agents"]["rows"]] == [pytest.approx(n / 411) for n in (300, 100, 0)]
    assert all(row["guessed"] for row in card["agents"]["rows"])
    assert "wrong" not in card
    named = plain_card(gateway_alone(tmp_path / "named"))
    assert not any(row["guessed"] for row in named["agents"]["rows"])


def test_a_gateway_alone_gives_what_agents_cost_where_the_profile_has_prices(tmp_path: Path) -> None:
    log = read_log(gateway_alone(tmp_path) / "log")
    prices = Prices.model_validate({"currency": "JPY", "default": {"in": 1.0, "out": 10.0}})
    built = build(log, compute(log, None, prices))
    for view in (html(built), markdown(built)):
        assert "0.00280 JPY" in view


@pytest.mark.parametrize(("language", "title"), [("en", "Agents"), ("zh-CN", "各智能体"), ("ja", "各エージェント")])
def test_every_view_of_a_gateway_alone_begins_with_the_agents(tmp_path: Path, language: str, title: str) -> None:
    built = build(*of_log(gateway_alone(tmp_path)))
    out = io.StringIO()
    Console(file=out, width=100).print(terminal(built, language))
    for view in (html(built, language), markdown(built, language), out.getvalue()):
        assert view.index(title) < view.index("73.0")


def test_without_tasks_the_block_says_where_the_critical_path_is_explained(tmp_path: Path) -> None:
    run = gateway_alone(tmp_path, task="")
    assert "not measured; the cell of the response time says why" in markdown(build(*of_log(run)))


def test_a_run_without_training_folds_it_away(card: Scorecard) -> None:
    report = markdown(card)
    assert "| Metric | Inference |" in report
    assert "Training was not recorded." in report
    assert "Published and computed" not in report
    page = html(card, "en")
    before, _, after = page.partition('<details class="folded strip">')
    assert 'data-phase="training"' not in before
    assert after.count('data-phase="training"') == 15


def test_a_card_without_agents_has_both_columns_and_no_block() -> None:
    built = build(card_samples.log(), card_samples.metrics())
    assert '<details class="folded strip">' not in html(built)
    assert "| Metric | Training | Inference |" in markdown(built)
    assert not {"agents", "wrong"} & json.loads(to_json(built)).keys()


def test_wrong_prints_every_wrong_task(shosei: Shosei, run: Path) -> None:
    code, out, _ = shosei("card", run, "--wrong")
    assert code == 0
    for n in range(agent_samples.TASKS):
        assert (f"✗ t{n} " in out) == (not agent_samples.solved(n))
    _, plain, _ = shosei("card", run, "--wrong", "--no-answers", "--json")
    assert len(json.loads(plain)["rows"]) == json.loads(plain)["count"] == 9
    assert "カタカナ" not in plain


def test_wrong_of_a_run_without_graded_tasks_is_refused(shosei: Shosei, tmp_path: Path) -> None:
    code, _, err = shosei("card", gateway_alone(tmp_path), "--wrong")
    assert code == 2
    assert err.startswith("shosei: ")
    assert "no agent system's task was graded" in err


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
