"""A whole search over an agent system's settings: what it finds, and which tasks it calls when."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents_model import Model
from agents_runs import HERE, suite
from shosei.log import Request, Run, TuneVerdict, read_log
from shosei.tune.agent import AgentSubject
from shosei.tune.budget import Budget
from shosei.tune.record import Record
from shosei.tune.study import Study
from shosei.tune.target import Target
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
        requests = read_log(Run(tried.trial.folder).log).of(Request)
        called[tried.trial.stage] |= {request.task.split("#")[0] for request in requests}
    assert called["search"] == {task.id for group in split.tune for task in group}
    assert called["confirm"] == {task.id for group in split.confirm for task in group}
    assert not called["search"] & called["confirm"]
    tried = [
        (each.trial.candidate["style"], each.trial.stage, each.trial.rung, each.trial.round) for each in record.tried
    ]
    assert len(set(tried)) == len(tried), "what is known is not measured again"


def test_texts_that_change_nothing_are_no_gain(tmp_path: Path, url: str) -> None:
    verdict, _ = studied(of_styles(tmp_path, url, SAME), tmp_path / "out", "12trials")
    assert (verdict.verdict, verdict.best) == ("keep", {"style": DEFAULT})
