"""A judge of an agent system's answers: a task that failed has none, and does not pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents_model import Model
from agents_runs import asking_command, printed, suite
from judge_server import JudgeServer
from verb import Shosei


def card_cell(shosei: Shosei, run: Path) -> dict[str, Any]:
    """pass@1 on the card."""
    shosei("card", run)
    cells = json.loads((run / "card.json").read_text())["metrics"]
    [cell] = [cell for cell in cells if (cell["id"], cell["phase"]) == ("pass_at_1", "inference")]
    return dict(cell)


@pytest.mark.parametrize("grader", ["exact", "judge"])
def test_a_task_that_failed_is_not_shown_and_does_not_pass(tmp_path: Path, shosei: Shosei, grader: str) -> None:
    model, judge = Model(lambda _: "42"), JudgeServer(lambda shown, _: "VERDICT: pass")
    file = suite(tmp_path, ["answers", "breaks", "answers too"])
    file.write_text(file.read_text().replace('"exact"', f'"{grader}"'))
    system = asking_command('assert task["question"] != "breaks"; print("it is", 42)')
    run = tmp_path / "run"
    code, _, said = shosei("agents", "run", "--tasks", file, "--base-url", model.url, "--run", run, "--", *system)
    assert code == 0, said
    code, out, said = shosei("judge", run, "--judge-url", judge.url, "--json")
    assert code == 0, said
    [share] = printed(out)["judged"]
    assert (share["share"], share["n"], share["failed"]) == (pytest.approx(2 / 3), 3, 1)
    assert {shown.question for shown in judge.shown} == {"answers", "answers too"}
    cell = card_cell(shosei, run)
    assert (cell["status"], cell["value"]) == (("insufficient", 0.0) if grader == "exact" else ("not_measured", None))
    assert "accuracy.judged" in {table["key"] for table in cell["breakdown"]}
    model.stop()
    judge.stop()


def test_a_baseline_is_judged_by_the_same_rubric(tmp_path: Path, shosei: Shosei) -> None:
    """The system answers 7 to the second task and as the model does to the others; the judge lets 42 pass."""
    model = Model(lambda _: "42")
    judge = JudgeServer(lambda shown, _: f"VERDICT: {'pass' if shown.answer == '42' else 'fail'}")
    file = suite(tmp_path, ["same", "otherwise", "same too"])
    file.write_text(file.read_text().replace('"exact"', '"judge"'))
    system = asking_command('print("7" if task["question"] == "otherwise" else said)')
    run = tmp_path / "run"
    options = ("--tasks", file, "--base-url", model.url, "--run", run, "--baseline", "single")
    assert shosei("agents", "run", *options, "--", *system)[0] == 0
    code, out, said = shosei("judge", run, "--judge-url", judge.url, "--json")
    assert code == 0, said
    [share], [single] = printed(out)["judged"], printed(out)["judged_baseline"]
    assert (share["share"], single["share"]) == (pytest.approx(2 / 3), 1.0)
    assert (share["n"], single["n"], single["identity"]) == (3, 3, share["identity"])
    shown = sorted((each.question, each.answer) for each in judge.shown)
    assert shown == [("otherwise", "42"), ("otherwise", "7"), ("same", "42"), ("same too", "42")]
    again = shosei("judge", run, "--judge-url", judge.url)
    assert (again[0], len(judge.shown)) == (0, 4), "nothing is asked twice"
    assert "the baseline: tasks: judged to pass by" in again[1]
    [table] = [table for table in card_cell(shosei, run)["breakdown"] if table["key"] == "accuracy.judged_single"]
    assert dict(zip(table["columns"], table["rows"][0], strict=True))["judged to pass"] == 1.0
    model.stop()
    judge.stop()
