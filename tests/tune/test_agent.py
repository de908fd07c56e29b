"""What a trial of ``shosei tune agent`` gives to a system, and which tasks it is never given."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents_model import Model
from agents_runs import asking_command, suite, tasks
from shosei.agents.prompts import prompt
from shosei.card.words import translated
from shosei.errors import InputError
from shosei.log import Request, Run, RunBegin, Score, read_log
from shosei.systems.config import AgentsConfig
from shosei.tune.agent import AgentSubject
from shosei.tune.setting import default_of
from shosei.tune.target import Objective, Target, read_target
from shosei.tune.task_split import TaskSplit
from tune_targets import target, trial
from verb import Shosei

QUESTIONS = [f"{number}*678是多少？" for number in range(1, 49)]
SPACE = {"style": {"type": "file", "default": "plain.txt", "choices": ["plain.txt", "better.txt"]}}
OBJECTIVE = {"figure": "pass_at_1"}
SOLVES = 'style = open(os.environ["SHOSEI_SETTINGS"] + "/style.txt").read(); print(said if "好" in style else "不知道")'


@pytest.fixture
def model() -> Iterator[Model]:
    server = Model(lambda _body: "42")
    yield server
    server.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    suite(tmp_path, QUESTIONS)
    for name, text in (("plain", "答"), ("better", "好好{答}")):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return tmp_path


def of_command(folder: Path, url: str, space: dict[str, Any] = SPACE, **more: Any) -> Target:
    agent = {"command": asking_command(SOLVES), "tasks": ["tasks.jsonl"], "url": url, "confirm": 0.75, **more}
    return target(folder, "agent", objective=OBJECTIVE, space=space, agent=agent)


def test_no_task_is_both_tuned_on_and_confirmed_on() -> None:
    given = tasks(QUESTIONS)
    for task in given:
        task.cluster = f"cluster {int(task.id) // 2}"  # two tasks each
    split = TaskSplit.of(given, 0.5, 2, 3)
    tune, confirm = ([task for group in groups for task in group] for groups in (split.tune, split.confirm))
    assert {len(split.tune), len(split.confirm)} == {2, 3}
    assert sorted(task.id for task in [*tune, *confirm]) == sorted(task.id for task in given)
    groups = [{task.cluster for task in group} for group in [*split.tune, *split.confirm]]
    assert sum(map(len, groups)) == len(set().union(*groups)), "a cluster is in one group"


def test_a_task_is_on_its_side_whatever_the_others_are_and_in_whatever_order() -> None:
    given = tasks(QUESTIONS)
    shuffled = random.Random(1).sample(given, 18)
    sides = [TaskSplit.of(some, 0.5, 1, 1) for some in (given, shuffled)]
    all_tune, some_tune = ({task.id for task in side.tune[0]} for side in sides)
    assert some_tune == all_tune & {task.id for task in shuffled}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_share_is_kept_to(share: float) -> None:
    split = TaskSplit.of(tasks([str(number) for number in range(2000)]), share, 1, 1)
    assert len(split.confirm[0]) / 2000 == pytest.approx(share, abs=0.05)


def test_too_few_tasks_are_said_so() -> None:
    with pytest.raises(InputError, match=r"too few for 5 rungs and 5 rounds: name more tasks"):
        TaskSplit.of(tasks(QUESTIONS[:6]), 0.5, 5, 5)


def test_the_shortest_confirmation_has_as_many_tasks_as_a_test_needs(folder: Path) -> None:
    suite(folder, map(str, range(200)))
    for rounds, confirm in ((1, 0.5), (3, 0.5), (5, 0.3)):
        subject = AgentSubject(of_command(folder, "http://127.0.0.1:9", rounds=rounds, confirm=confirm), None)
        groups = [len(group) for group in subject.split.confirm]
        assert sum(groups[: subject.least_rounds]) >= 30 > sum(groups[: subject.least_rounds - 1])
    suite(folder, map(str, range(40)))
    with pytest.raises(InputError, match=r"of \d+ independent tasks to confirm on no gain could be told .* takes 30"):
        AgentSubject(of_command(folder, "http://127.0.0.1:9", confirm=0.5), None)


def test_what_is_no_share_of_tasks_is_tested_by_rounds(folder: Path) -> None:
    given = of_command(folder, "http://127.0.0.1:9", rounds=2)
    tokens = given.model_copy(update={"objective": Objective(figure="pass_at_1.tokens_per_solved")})
    with pytest.raises(InputError, match=r"agent\.rounds: .* is tested by rounds, of which it takes 3"):
        AgentSubject(tokens, None)
    settings = {**given.settings, "rounds": 4}
    assert AgentSubject(tokens.model_copy(update={"settings": settings}), None).least_rounds == 3


def test_a_candidate_s_files_reach_the_system_and_its_tasks_are_compared(folder: Path, model: Model) -> None:
    subject = AgentSubject(of_command(folder, model.url), None)
    texts = of_command(folder, model.url).space["style"].choices
    assert texts == ["答", "好好{答}"]
    results = [
        subject.measure(*trial(folder / name, {"style": text}, rung=1))
        for name, text in zip(("plain", "better"), texts, strict=True)
    ]
    assert [result.value for result in results] == [0.0, 1.0]
    assert results[0].units.keys() == results[1].units.keys()
    assert len(results[0].units) == len(subject.split.tune[1])
    assert set(results[1].units.values()) == {1.0}
    logs = [read_log(Run(folder / name).log) for name in ("plain", "better")]
    hashes = [log.of(RunBegin)[0].hashes["settings/style"] for log in logs]
    assert hashes[0] != hashes[1]


def test_the_groups_of_the_search_and_of_the_confirmation_are_asked_in_turn(folder: Path, model: Model) -> None:
    subject = AgentSubject(of_command(folder, model.url, rungs=2, rounds=2), None)
    asked = []
    for place in (0, 1):
        subject.measure(*trial(folder / f"rung-{place}", {"style": "答"}, rung=place))
        asked.append({task.split("#")[0] for task in _tasks_called(folder / f"rung-{place}")})
    for place in (1, 2):
        subject.measure(*trial(folder / f"round-{place}", {"style": "答"}, "confirm", round=place))
        asked.append({task.split("#")[0] for task in _tasks_called(folder / f"round-{place}")})
    assert subject.cost("confirm", 0) == 1
    costs = [subject.cost("search", rung) for rung in (0, 1)]
    assert sum(costs) / 2 == pytest.approx(
        sum(map(len, subject.split.tune)) / sum(map(len, subject.split.confirm)), abs=1e-9
    )
    groups = [{task.id for task in group} for group in [*subject.split.tune, *subject.split.confirm]]
    assert asked == groups
    assert subject.most_rounds == 2


def _tasks_called(folder: Path) -> set[str]:
    """The tasks whose calls the gateway saw."""
    return {request.task for request in read_log(Run(folder).log).of(Request)}


def test_where_no_task_comes_to_an_answer_the_candidate_has_failed(folder: Path) -> None:
    server = Model(lambda _body: "42")
    fails = of_command(folder, server.url, command=asking_command("sys.exit(3)"))
    result = AgentSubject(fails, None).measure(*trial(folder / "run", {"style": "答"}))
    server.stop()
    assert result.value is None
    assert "exit code 5" in translated(result.reason)


def test_no_server_is_a_fault_of_the_target(folder: Path) -> None:
    subject = AgentSubject(of_command(folder, "http://127.0.0.1:9"), None)
    with pytest.raises(InputError, match=r"no answer from http://127\.0\.0\.1:9"):
        subject.measure(*trial(folder / "run", {"style": "答"}))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"system": "router"}, "name either a system or a command"),
        ({"tasks": ["nothing.jsonl"]}, "nothing.jsonl"),
        ({"tasks": []}, "agent.tasks"),
        ({"taks": []}, "did you mean 'tasks'"),
    ],
)
def test_a_wrong_table_is_one_line(folder: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        AgentSubject(of_command(folder, "http://127.0.0.1:9", **more), None)


def test_a_setting_must_be_able_to_name_a_file(folder: Path) -> None:
    space = {"../style": SPACE["style"]}
    with pytest.raises(InputError, match=r"'\.\./style' cannot name a file"):
        AgentSubject(of_command(folder, "http://127.0.0.1:9", space), None)


def test_the_best_settings_are_used_as_they_are(folder: Path, model: Model, shosei: Shosei) -> None:
    subject = AgentSubject(of_command(folder, model.url, settings={"seconds": 50}), None)
    best = folder / "best"
    [line] = subject.usable({"style": "好"}, best)
    assert (best / "settings" / "style.txt").read_text() == "好"
    assert tomllib.loads((best / "best.toml").read_text())["agents"]["seconds"] == 50
    code, _, said = _called(line, shosei, folder / "run")
    assert code == 0, said
    log = read_log(Run(folder / "run").log)
    assert {score.answer.strip() for score in log.of(Score)} == {"42"}
    assert len(log.of(Score)) == len(QUESTIONS)


def _called(line: str, shosei: Shosei, run: Path) -> tuple[int, str, str]:
    import shlex

    program, *arguments = shlex.split(line)
    assert program == "shosei"
    return shosei(*(str(run) if word == "runs/NAME" else word for word in arguments))


def test_the_shipped_target_has_the_router_s_own_defaults() -> None:
    space = read_target("agent", "agent").space
    assert default_of(space) == {
        "solve_zh": prompt("solve", "zh"),
        "solve_ja": prompt("solve", "ja"),
        "temperature": 0,
        "calls": 5,
    }
    assert AgentsConfig.model_validate(read_target("agent", "agent").settings["settings"])
