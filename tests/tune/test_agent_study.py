"""A whole search over an agent system's settings: what it finds, how often it errs, and which tasks it calls when."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agents_model import Model
from agents_runs import HERE, suite
from shosei.log import Request, Run, TuneTrialBegin, TuneVerdict, read_log
from shosei.tune.agent import AgentSubject
from shosei.tune.budget import Budget
from shosei.tune.record import Record
from shosei.tune.setting import Candidate, Setting
from shosei.tune.study import Study
from shosei.tune.target import Objective, Target
from shosei.tune.trial import Stage, TrialResult
from tune_targets import target

DEFAULT, SAME, BETTER = "0.4 of the tasks", "0.4 of all tasks", "0.95 of the tasks"


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    server = Model(lambda _body: "?")
    yield server.url
    server.stop()


def of_styles(folder: Path, url: str, *styles: str) -> Target:
    suite(folder, [str(number) for number in range(90)])
    return target(
        folder,
        "agent",
        objective={"figure": "pass_at_1", "gain": 0.05},
        space={"style": {"type": "text", "default": DEFAULT, "choices": list(styles)}},
        agent={
            "system": "tuned_system:system",
            "tasks": ["tasks.jsonl"],
            "url": url,
            "rungs": 2,
            "rounds": 2,
            "settings": {"concurrency": 4},
        },
    )


def studied(target: Target, out: Path, budget: str) -> tuple[TuneVerdict, Record]:
    subject, record = AgentSubject(target, None), Record(out, lambda _event: None)
    return Study(target, subject, record, Budget.parse(budget), 1).run(), record


def test_a_better_text_is_found_and_confirmed_on_tasks_that_the_search_never_called(tmp_path: Path, url: str) -> None:
    given = of_styles(tmp_path, url, SAME, BETTER)
    verdict, record = studied(given, tmp_path / "out", "26trials")
    assert (verdict.verdict, verdict.best) == ("gain", {"style": BETTER})
    [finalist] = [each for each in verdict.finalists if each.candidate == verdict.best]
    assert finalist.gain == pytest.approx(0.55, abs=0.25)
    assert (finalist.interval[0] or 0) > 0
    split = AgentSubject(given, None).split
    called: dict[str, set[str]] = {"search": set(), "confirm": set()}
    for tried in record.tried:
        requests = read_log(Run(tmp_path / "out" / tried.folder).log).of(Request)
        called[tried.stage] |= {request.task.split("#")[0] for request in requests}
    assert called["search"] == {task.id for group in split.tune for task in group}
    assert called["confirm"] == {task.id for group in split.confirm for task in group}
    assert not called["search"] & called["confirm"]
    tried = [(each.candidate["style"], each.stage, each.rung, each.round) for each in record.tried]
    assert len(set(tried)) == len(tried), "what is known is not measured again"


def test_texts_that_change_nothing_are_no_gain(tmp_path: Path, url: str) -> None:
    verdict, _ = studied(of_styles(tmp_path, url, SAME), tmp_path / "out", "12trials")
    assert (verdict.verdict, verdict.best) == ("keep", {"style": DEFAULT})


class Simulated:
    """A system that solves each of 120 tasks with a chance of the task's own; one style adds to all of them."""

    rungs, repeats, least_rounds, most_rounds = 3, False, 1, 3

    def __init__(self, seed: int, effect: float) -> None:
        self._chance = np.random.default_rng(seed)
        self._solved, self._effect = self._chance.beta(1.2, 1.2, 120), effect

    def cost(self, stage: Stage, rung: int) -> float:
        return 1.0

    def measure(self, trial: TuneTrialBegin, folder: Path) -> TrialResult:
        group = 2 + trial.round if trial.round else trial.rung
        better = self._effect * (trial.candidate["style"] == "better")
        tasks = range(20 * group, 20 * group + 20)
        units = {str(task): float(self._chance.random() < self._solved[task] + better) for task in tasks}
        return TrialResult(float(np.mean(list(units.values()))), units=units, seconds=1.0)

    def usable(self, candidate: Candidate, folder: Path) -> list[str]:
        return []


def verdicts(effect: float, count: int) -> Counter[str]:
    """Of so many searches; a gain by another style than the better one is a ``false gain``."""
    space = {
        "style": Setting(type="text", default="a", choices=["a", "b", "better", "d"]),
        "temperature": Setting(type="float", low=0, high=1, step=0.1, default=0),
    }
    simulated = Target(
        name="t", kind="agent", objective=Objective(figure="pass_at_1"), space=space, settings={}, folder=Path()
    )
    found: Counter[str] = Counter()
    for seed in range(count):
        record = Record(Path("nowhere"), lambda _event: None)
        verdict = Study(simulated, Simulated(seed, effect), record, Budget.parse("60trials"), seed).run()
        is_false = verdict.verdict == "gain" and not (effect and verdict.best["style"] == "better")
        found["false gain" if is_false else verdict.verdict] += 1
    return found


@pytest.mark.long
def test_of_400_searches_without_any_effect_hardly_one_announces_a_gain() -> None:
    assert verdicts(0.0, 400)["false gain"] <= 26


@pytest.mark.long
def test_of_200_searches_nearly_all_confirm_a_text_that_solves_four_tenths_more() -> None:
    found = verdicts(0.4, 200)
    assert found["gain"] >= 180
    assert found["false gain"] <= 6
