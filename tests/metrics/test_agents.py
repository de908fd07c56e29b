"""How agent systems are measured, on a run whose numbers follow by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scipy.stats import binomtest

import agent_samples
import recorded
from agent_samples import MS, START, TASKS, S, call, events, score, solved, solved_by_single, task
from shosei.log import Event, Request, RunBegin, Score, Window, Workflow, open_run, read_log
from shosei.metrics import Metric
from shosei.metrics.accuracy.over_single import by_baseline, by_system
from shosei.metrics.service_level import ServiceLevel
from shosei.systems.baseline import relay

Found = dict[str, Any]


def cell(id: str, found: list[Event] | None = None, limits: ServiceLevel | None = None) -> Metric:
    return recorded.metric_of(events() if found is None else found, id, "inference", limits)


def rows(metric: Metric, title: str) -> Found:
    """The rows of the table whose title begins so, by their first cell."""
    table = next(table for table in metric.breakdown if str(table.title).startswith(title))
    return {str(row[0]): dict(zip(map(str, table.columns[1:]), row[1:], strict=True)) for row in table.rows}


def changed(change: Callable[[Event], Event | None]) -> list[Event]:
    return [new for new in map(change, events()) if new is not None]


def test_values_follow_by_hand() -> None:
    expected = {
        "inference_speed": (36 / 39.5, "tasks/s"),
        "response_time": (500.0, "ms"),
        "error_rate": (4 / 40, ""),
        "pass_at_1": (sum(map(solved, range(TASKS))) / TASKS, ""),
        "training_speed": (39.5, "s"),
        "memory": (400e6, "bytes"),
        "crash_rate": (0.0, "per start"),
        "restart_count": (0.0, "restarts"),
    }
    for id, (value, unit) in expected.items():
        found = cell(id)
        assert found.value == pytest.approx(value, rel=1e-9), id
        assert found.unit == unit
    assert cell("response_time").figures["p95"].value is None, "36 answers are too few"
    assert cell("response_time").figures["p50"].value == 500.0


def test_both_process_trees_are_named() -> None:
    assert [row[0] for row in cell("memory").breakdown[1].rows] == ["engine", "system"]


def test_time_of_a_task_is_its_critical_path_and_the_systems_own() -> None:
    metric = cell("response_time")
    whole = {name: row["value"] for name, row in rows(metric, "What a task's time").items()}
    assert list(whole.values()) == [pytest.approx(v) for v in (0.8, 0.2, 2.0, 600 / 401)]
    agents = rows(metric, "Time of agents")
    on_path = "share of a task's time, on the critical path"
    assert {name: row[on_path] for name, row in agents.items()} == {
        "router": pytest.approx(0.2),
        "kana": pytest.approx(0.6),
        "sums": 0.0,
    }
    assert agents["kana"]["share of all call time"] == pytest.approx(0.5)
    assert (agents["kana"]["p50 (ms)"], agents["sums"]["p50 (ms)"]) == (300.0, 200.0)


def test_each_agents_calls_tokens_errors_and_retries() -> None:
    found = rows(cell("error_rate"), "Agents")
    assert found["sums"] == {
        "calls": 48,
        "tokens in": 800,
        "tokens out": 200,
        "errors": 8,
        "repeated after an error": 8,
        "known by": "path",
    }
    assert found["router"]["calls"] == 40, "the server saw the same calls, and they are not added"


def test_transfers_and_loops() -> None:
    metric = cell("inference_speed")
    assert rows(metric, "From one call") == {
        "kana": {"kana": 0, "router": 0, "sums": 0},
        "router": {"kana": 40, "router": 0, "sums": 40},
        "sums": {"kana": 0, "router": 0, "sums": 8},
    }
    assert not any(str(table.title).startswith("Back again") for table in metric.breakdown)


ENDS = [
    "answered",
    "unknown tool",
    "invalid arguments",
    "no result",
    "result is an error",
    "not to be told",
    "task or agent ended there",
]


def test_tools_that_are_unknown_wrong_or_fail_and_a_last_call_that_needs_no_result() -> None:
    metric = cell("error_rate")
    total = rows(metric, "Tools")["total"]
    assert [total[end] for end in ENDS] == [20, 5, 5, 0, 5, 0, 5]
    assert metric.figures["tool_success"].value == pytest.approx(20 / 35)
    low, high = metric.figures["tool_success"].ci or (None, None)
    plain = binomtest(20, 35).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(plain.low, abs=0.01), pytest.approx(plain.high, abs=0.01))


def test_time_of_a_tool_is_from_the_answer_to_the_request_with_the_result() -> None:
    times = rows(cell("response_time"), "Time of tools")
    assert {tool: (row["p50 (ms)"], row["p95 (ms)"], row["n"]) for tool, row in times.items()} == {
        "abacus": (10.0, None, 5),
        "calculator": (10.0, None, 30),
    }


def test_errors_of_tasks_beside_those_of_calls() -> None:
    metric = cell("error_rate")
    assert metric.figures["calls"].value == pytest.approx(8 / 128)
    table = next(table for table in metric.breakdown if table.title == "By type")
    assert [row[:3] for row in table.rows] == [
        ["tasks", "none", 36],
        ["tasks", "stopped by its budget", 3],
        ["tasks", "raised an exception", 1],
        ["calls", "none", 120],
        ["calls", "5xx", 8],
    ]
    for id in ("error_rate", "pass_at_1"):
        assert "3 of 40 tasks were stopped by their budget (calls)" in cell(id).notes


def test_cost_of_a_solved_task_pays_for_the_failed_ones_too() -> None:
    figures = cell("pass_at_1").figures
    count = sum(map(solved, range(TASKS)))
    assert figures["tokens_per_solved"].value == pytest.approx(25 * 128 / count)
    assert figures["calls_per_solved"].value == pytest.approx(128 / count)
    assert figures["seconds_per_solved"].value == pytest.approx(20 / count)
    unknown = changed(
        lambda event: msgspec.structs.replace(event, tokens_in=None) if isinstance(event, Workflow) else event
    )
    assert cell("pass_at_1", unknown).figures["tokens_per_solved"].value is None


def test_the_verdict_beside_a_single_agent_is_mcnemars() -> None:
    metric = cell("pass_at_1")
    pairs = [(solved_by_single(index), solved(index)) for index in range(TASKS)]
    lost, gained = pairs.count((True, False)), pairs.count((False, True))
    assert (lost, gained) == (1, 19)
    verdict = {name: row["value"] for name, row in rows(metric, "Compared with the single agent").items()}
    assert verdict["pass@1, difference"] == pytest.approx((gained - lost) / TASKS)
    assert verdict["p"] == pytest.approx(binomtest(lost, lost + gained).pvalue)
    assert verdict["Verdict"] == "better"
    sides = rows(metric, "Beside a single agent")
    assert sides["single"]["solved"] == sum(map(solved_by_single, range(TASKS))) / TASKS
    assert (sides["single"]["tokens a task"], sides["single"]["calls a task"]) == (60, 2)
    ratio = verdict["tokens of a solved task, system over single agent"]
    assert ratio == pytest.approx((25 * 128 / 31) / (60 * 40 / 13))
    assert any("better (exact McNemar" in note for note in metric.notes)


def test_a_baseline_enters_nothing_else() -> None:
    without = events(with_baseline=False)
    for id in ("training_speed", "inference_speed", "error_rate", "response_time", "f1"):
        metric, alone = cell(id), cell(id, without)
        assert (metric.value, metric.n, metric.breakdown, metric.reason) == (
            alone.value,
            alone.n,
            alone.breakdown,
            alone.reason,
        )
    assert cell("pass_at_1", without).value == cell("pass_at_1").value
    assert not any("single" in str(table.title) for table in cell("pass_at_1", without).breakdown)


def test_few_common_tasks_leave_the_verdict_open() -> None:
    few = [event for event in events() if not (isinstance(event, Workflow) and event.baseline and event.item > "t2")]
    metric = cell("pass_at_1", few)
    assert rows(metric, "Compared with the single agent")["Verdict"]["value"] == "inconclusive"


def test_goodput_counts_tasks_within_their_limit() -> None:
    slow = changed(
        lambda event: (
            msgspec.structs.replace(event, end_ns=event.end_ns + 100 * MS)
            if isinstance(event, Workflow) and event.item in ("t1", "t2")
            else event
        )
    )
    metric = cell("inference_speed", slow, ServiceLevel(task_ms=550))
    assert metric.figures["goodput"].value == pytest.approx(34 / 39.5)
    assert metric.value == pytest.approx(36 / 39.5)
    assert "goodput" not in cell("inference_speed").figures


def test_failed_tasks_are_wrong_and_wait_for_ever() -> None:
    """An answer that came too late to count is not a right one."""
    late = changed(
        lambda event: (
            msgspec.structs.replace(event, answer="9", error="")
            if isinstance(event, Score) and event.item == "t9"
            else event
        )
    )
    assert cell("pass_at_1", late).value == cell("pass_at_1").value
    assert cell("pass_at_1").n == TASKS
    assert "unbounded: 4 of 40 tasks failed (10.0%)" in cell("response_time").notes


def test_a_lost_answer_makes_accuracy_invalid() -> None:
    lost = [event for event in events() if not (isinstance(event, Score) and event.item == "t3")]
    metric = cell("pass_at_1", lost)
    assert (metric.status, metric.reason[:8]) == ("invalid", "39 of 40")
    broken_off = [RunBegin(verb="agents", argv=[], config={"answers": 120}), *events()[1:]]
    assert cell("pass_at_1", broken_off).reason.startswith("40 of 120 answers are recorded")


def test_tasks_stand_before_a_load_and_an_exam_of_the_same_attempt() -> None:
    load = [
        Request(
            id=f"load-{n}",
            purpose="load",
            seen_by="client",
            scheduled_ns=START + n * MS,
            sent_ns=START + n * MS,
            done_ns=START + n * MS + 5 * MS,
            status=200,
            phase="inference",
        )
        for n in range(300)
    ]
    exam = [msgspec.structs.replace(score(n), task="", answer=str(n), error="") for n in range(TASKS)]
    for id in ("inference_speed", "response_time", "error_rate", "pass_at_1"):
        assert cell(id, [*events(), *load, *exam]).value == cell(id).value


def test_calls_of_nobody_are_said() -> None:
    extra = call(3, "unattributed", 430, 10, attribution="unattributed")
    metric = cell("error_rate", [*events(), extra])
    assert any(note.startswith("1 of 129 calls (0.8%)") for note in metric.notes)
    assert rows(metric, "Agents")["unattributed"]["known by"] is None


def test_a_system_that_makes_no_call_is_measured_too() -> None:
    idle = [event for event in events() if not isinstance(event, Request)]
    assert cell("error_rate", idle).value == 0.1
    assert cell("inference_speed", idle).value == pytest.approx(36 / 39.5)
    assert len(cell("response_time", idle).breakdown) == 1


def test_a_system_that_never_answers_has_no_speed() -> None:
    silent = [task(n, error="unused endpoint") for n in range(3)]
    run = [RunBegin(verb="agents", argv=[]), *silent]
    for id in ("inference_speed", "response_time"):
        found = cell(id, run)
        assert (found.status, found.reason) == ("not_measured", "none of the 3 tasks got an answer")
    assert cell("error_rate", run).value == 1.0
    assert cell("pass_at_1", run).status == "not_measured"


def test_the_pause_after_an_interruption_is_no_time_of_the_system() -> None:
    hour = 3600 * S

    def resumed(event: Event) -> Event:
        if not isinstance(event, Workflow) or event.baseline or event.scheduled_ns < START + 20 * S:
            return event
        times = {name: getattr(event, name) + hour for name in ("scheduled_ns", "begin_ns", "end_ns")}
        return msgspec.structs.replace(event, pid=11, **times)

    run = changed(resumed)
    assert cell("training_speed", run).value == pytest.approx(19.5 * 2)
    assert cell("inference_speed", run).value == pytest.approx(36 / 39)
    assert cell("response_time", run).value == 500.0


def test_calls_of_a_try_that_was_broken_off_are_none() -> None:
    earlier = [call(3, "router", -900, 100), call(3, "sums", -700, 100)]
    for id in ("error_rate", "response_time"):
        assert cell(id, [*events(), *earlier]).breakdown == cell(id).breakdown


def test_retries_are_those_that_the_client_names_or_else_those_after_an_error() -> None:
    """After an error a client may ask something else, and what failed before it came here left no call."""
    failed = {"status": 500, "error": "5xx"}
    named = [call(3, "named", 430, 1, retry=1), call(3, "named", 440, 1, retry=0, **failed)]
    named += [call(3, "named", 450, 1, retry=0), call(3, "named", 460, 1, retry=1), call(3, "named", 470, 1, retry=2)]
    silent = [call(3, "silent", 431, 1, **failed), call(3, "silent", 441, 1), call(3, "silent", 451, 1)]
    table = rows(cell("error_rate", [*events(), *named, *silent]), "Agents")
    assert [table[agent]["repeated after an error"] for agent in ("named", "silent")] == [3, 1]


def test_calls_for_no_task_follow_nobody() -> None:
    stray = [msgspec.structs.replace(call(3, "stray", 430 + n, 1), task="", id=f"stray-{n}") for n in range(4)]
    run = [*events(), *stray]
    assert rows(cell("error_rate", run), "Agents")["stray"]["calls"] == 4
    transfers = rows(cell("inference_speed", run), "From one call")
    assert sum(row["stray"] for row in transfers.values()) == sum(transfers["stray"].values()) == 0


def test_several_samples_of_a_task_are_one_unit() -> None:
    def sampled(event: Event, sample: int) -> Event:
        if isinstance(event, Workflow | Score):
            return msgspec.structs.replace(event, sample=sample, task=f"{event.item}#{sample}")
        return event

    run = [RunBegin(verb="agents", argv=[])]
    run += [sampled(event(n), k) for n in range(TASKS) for k in range(2) for event in (task, score)]
    assert (cell("error_rate", run).n, cell("error_rate", run).clusters) == (80, 40)
    figures = cell("pass_at_1", run).figures
    assert figures["pass_at_2"].value == figures["pass_hat_2"].value == cell("pass_at_1").value
    assert figures["flips_2"].value == 0.0, "both samples of each task are alike"


def test_tasks_that_flip_between_samples_are_counted() -> None:
    def answered(index: int, sample: int) -> Score:
        right = solved(index) and (sample == 0 or index % 2 == 0)
        answer = str(index) if right else "?"
        return msgspec.structs.replace(score(index), sample=sample, task=f"t{index}#{sample}", answer=answer, error="")

    def given(index: int, sample: int) -> Workflow:
        return task(index, sample=sample, task=f"t{index}#{sample}", error="")

    run: list[Event] = [RunBegin(verb="agents", argv=[])]
    run += [make(n, k) for n in range(TASKS) for k in range(2) for make in (given, answered)]
    metric = cell("pass_at_1", run)
    flipping = sum(solved(n) and n % 2 == 1 for n in range(TASKS)) / TASKS
    always = sum(solved(n) and n % 2 == 0 for n in range(TASKS)) / TASKS
    assert metric.figures["flips_2"].value == pytest.approx(flipping)
    assert metric.figures["pass_hat_2"].value == pytest.approx(always)
    assert metric.figures["flips_2"].direction == "lower"
    of_two = next(table for table in metric.breakdown if table.key == "accuracy.more_samples").rows[-1]
    assert of_two[1] == 2
    assert of_two[8] == pytest.approx(flipping)


def test_the_window_of_tasks_needs_no_other() -> None:
    bare = [event for event in events() if not isinstance(event, Window)]
    other = Window(name="steady", begin_ns=0, end_ns=S, phase="inference")
    assert cell("inference_speed", [other, *bare]).value == cell("inference_speed").value
    assert agent_samples.SYSTEM in rows(cell("response_time"), "Time of a task")


def test_the_single_agent_is_graded_by_the_rules_of_the_task_s_language(tmp_path: Path) -> None:
    """English articles do not count, whoever says them."""
    said = msgspec.structs.replace(score(0), grader="text", truth="Beatles", answer="the Beatles", lang="en", error="")
    alone = open_run(tmp_path / "alone", must_exist=False)
    with alone.recording("agents", "inference") as record:
        record.writer.emit(task(0))
        record.writer.emit(said)
    beside = open_run(tmp_path / "system", must_exist=False)
    with beside.recording("agents", "inference") as record:
        relay(read_log(alone.log), record.writer)
    assert [graded.solved for graded in by_system(read_log(alone.log))] == [True]
    assert [graded.solved for graded in by_baseline(read_log(beside.log))] == [True]
