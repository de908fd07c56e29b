"""Commands as agent systems: what they are given, where their answers are read, and why they failed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents_model import Model
from agents_runs import asking_command, errors, measure, tasks
from shosei.log import Log, Score, Workflow
from shosei.systems.system import System
from shosei.systems.task_folder import task_folder
from shosei.wire.suite import Task

TURNS = [
    {"role": "system", "content": "Be terse."},
    {"role": "user", "content": "My city is Nara."},
    {"role": "assistant", "content": "Noted."},
    {"role": "user", "content": "Which is it?"},
]


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    server = Model(lambda _body: "42")
    yield server
    server.stop()


def run(folder: Path, model: Model, program: str, given: list[Task] | None = None) -> Log:
    """Give a command its tasks: ``program`` follows a call to the model, whose answer is ``said``."""
    system = System.of_command("command", asking_command(program))
    return measure(folder / "run", system, model.url, given or tasks(["?"]), seconds=30)


def answer(log: Log) -> str:
    [score] = log.of(Score)
    assert not score.error, log.of(Workflow)[0].message
    return score.answer


def test_a_command_may_answer_with_a_file_and_log_to_both_streams(tmp_path: Path, model: Model) -> None:
    program = """
print("log line\\n" * 300_000)
sys.stderr.write("log line\\n" * 200_000)
open(os.environ["SHOSEI_ANSWER_FILE"], "w").write(said)
print("bye")
"""
    assert answer(run(tmp_path, model, program)) == "42"
    said = (tmp_path / "run" / "agents.txt").read_text()
    assert "bye" in said
    assert said.count("bytes left out") == 2
    assert len(said) < 1 << 20


def test_a_flood_of_logs_loses_no_answer(tmp_path: Path, model: Model) -> None:
    assert answer(run(tmp_path, model, 'sys.stderr.write("log line\\n" * 200_000); print(said)')) == "42\n"


@pytest.mark.parametrize(
    "program",
    [
        'print("x" * (1 << 20))',
        'while True: print("x" * 10_000)',
        'open(os.environ["SHOSEI_ANSWER_FILE"], "w").write("x" * (1 << 21))',
    ],
)
def test_an_answer_that_is_too_long_is_a_flood(tmp_path: Path, model: Model, program: str) -> None:
    assert errors(run(tmp_path, model, program)) == {"0": "flood"}


@pytest.mark.parametrize("make", ["mkfifo", "mkdir"])
def test_an_answer_file_that_is_no_file_is_not_waited_for(tmp_path: Path, model: Model, make: str) -> None:
    assert answer(run(tmp_path, model, f'os.{make}(os.environ["SHOSEI_ANSWER_FILE"]); print(said)')) == "42\n"


def test_turns_keep_their_roles(tmp_path: Path, model: Model) -> None:
    [task] = tasks(["?"])
    task.messages = TURNS
    given = json.loads(answer(run(tmp_path, model, "print(json.dumps(task))", [task])))
    assert given["messages"] == TURNS
    assert given["question"] == "Be terse.\n\nMy city is Nara.\n\nNoted.\n\nWhich is it?"


def test_a_task_has_an_empty_folder_which_is_gone_afterwards(tmp_path: Path, model: Model) -> None:
    program = """
folder = os.environ["SHOSEI_TASK_DIR"]
assert folder == task["folder"] and os.listdir(folder) == []
open(folder + "/made", "w").close()
print(folder)
"""
    folder = Path(answer(run(tmp_path, model, program)).strip())
    assert folder.is_absolute()
    assert not folder.parent.exists()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise LookupError('nothing')", "LookupError: nothing"),
        (
            "sys.stderr.write('TypeError: no tool\\n    at main\\n\\nNode.js v20.20.2\\n'); sys.exit(1)",
            "TypeError: no tool",
        ),
        ("sys.exit(3)", "exit code 3"),
        ("sys.stderr.write('ValueError: early\\n' + 'log\\n' * 10); sys.exit(3)", "ValueError: early"),
    ],
)
def test_the_reason_of_a_failure_is_the_exception(tmp_path: Path, model: Model, program: str, message: str) -> None:
    [workflow] = run(tmp_path, model, program).of(Workflow)
    assert (workflow.error, workflow.message) == ("raised", message)


def test_folders_that_are_kept_have_names_that_a_disk_takes(tmp_path: Path) -> None:
    async def keep(*tasks: str) -> None:
        for task in tasks:
            async with task_folder(task, tmp_path) as folder:
                (folder.files / "made").write_text(task)

    tasks = ["漢" * 90 + "#0", "漢" * 90 + "#1", "a/b", "a%2Fb", "..#0", "任务 1#0"]
    asyncio.run(keep(*tasks))
    kept = {(folder / "files" / "made").read_text() for folder in tmp_path.iterdir()}
    assert kept == set(tasks)


def test_a_reason_does_not_steer_a_terminal(tmp_path: Path, model: Model) -> None:
    log = run(tmp_path, model, 'raise ValueError("\\x1b]0;owned\\x07 no")')
    (workflow,) = log.of(Workflow)
    assert workflow.error == "raised"
    assert workflow.message.isprintable()
