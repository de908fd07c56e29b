"""A judge of an agent system's answers: a task that failed has none, and does not pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents_model import Model
from agents_runs import asking_command, printed, suite
from judge_server import JudgeServer
from verb import Shosei


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
    shosei("card", run)
    cells = json.loads((run / "card.json").read_text())["metrics"]
    [cell] = [cell for cell in cells if (cell["id"], cell["phase"]) == ("pass_at_1", "inference")]
    assert (cell["status"], cell["value"]) == (("insufficient", 0.0) if grader == "exact" else ("not_measured", None))
    assert "accuracy.judged" in {table["key"] for table in cell["breakdown"]}
    model.stop()
    judge.stop()
