"""A command as the judge of tasks: it looks at what each left in its folder, and its exit code is the verdict."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents_model import Model
from agents_runs import asking_command, command, errors, measure, printed, suite, tasks
from shosei.errors import InputError
from shosei.log import Exec, Log, Note, RunBegin, Score, read_log
from shosei.metrics.accuracy.pass_at_1 import pass_at_1
from shosei.systems.command_grader import command_grader
from shosei.systems.config import AgentsConfig
from shosei.systems.system import System
from supervised import eventually, linux, lives
from verb import Shosei
from walls import needs_bubblewrap

# The system does what the question says with its folder, and answers nothing.
WRITES = 'open(task["folder"] + "/state", "w").write(task["question"])'
READS = """
import json, os, sys, time
task = json.load(sys.stdin)
state = open(os.environ["SHOSEI_TASK_DIR"] + "/state").read()
assert state == task["question"] and task["answer"] == "" and task["truth"] == "42"
if state == "breaks":
    sys.exit("no such table")
if state == "is unsure":
    print("cannot tell", file=sys.stderr)
    sys.exit(3)
if state == "sleeps":
    time.sleep(1000)
if state == "dies":
    os.kill(os.getpid(), 9)
if state == "raises":
    {}["key"]
sys.exit(0 if state == "right" else 1)
"""


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    server = Model(lambda _body: "42")
    yield server
    server.stop()


def judged(folder: Path, model: Model, questions: list[str], grader: str, **settings: Any) -> Log:
    system = System.of_command("writer", asking_command(WRITES))
    grade_with = shlex.join(command(grader))
    return measure(folder / "run", system, model.url, tasks(questions), grade_with=grade_with, **settings)


def test_the_exit_code_is_the_verdict_and_what_is_none_is_not_graded(tmp_path: Path, model: Model) -> None:
    questions = ["right", "wrong", "is unsure", "sleeps", "dies", "raises"]
    log = judged(tmp_path, model, questions, READS, grader_seconds=2, concurrency=3)
    assert set(errors(log).values()) == {""}
    assert {event.item: event.outcome for event in log.of(Exec)} == {
        "0": "pass",
        "1": "wrong",
        "2": "exit code 3: cannot tell",
        "3": "no verdict within 2 s",
        "4": "ended by signal SIGKILL",
        "5": "wrong",
    }
    assert {score.grader for score in log.of(Score)} == {"command"}
    found = pass_at_1(log)
    assert (found.value, found.n) == (1 / 3, 3)
    assert found.invalid  # three of six were not judged
    [table] = [table for table in found.breakdown if table.key == "accuracy.verdicts"]
    assert table.rows[0][1:] == ["none", 1, 2, 3]
    unjudged, raised = (note.text for note in log.of(Note))
    assert unjudged.startswith("3 of 6 answers were not judged")
    assert "1 answers count as not solved because the grader ended by an exception (KeyError: 'key')" in raised
    assert "cannot tell" in (tmp_path / "run" / "agents.txt").read_text()


@linux
def test_what_a_grader_leaves_behind_ends_with_it(tmp_path: Path, model: Model) -> None:
    grader = """
import os, subprocess
left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
open(os.environ["SHOSEI_TASK_DIR"] + "/left", "w").write(str(left.pid))
"""
    log = judged(tmp_path, model, ["right"], grader, keep_folders=True)
    assert [event.outcome for event in log.of(Exec)] == ["pass"]
    pid = int((tmp_path / "run" / "tasks" / "0#0" / "files" / "left").read_text())
    assert eventually(lambda: not lives(pid), 5)


@needs_bubblewrap
def test_behind_its_wall_a_grader_writes_in_the_task_s_folder_alone(tmp_path: Path, model: Model) -> None:
    outside = tmp_path / "outside"
    grader = f"""
import os, socket, sys, urllib.request
os.remove(os.environ["SHOSEI_TASK_DIR"] + "/state")
for way in (lambda: open({str(outside)!r}, "w"), lambda: urllib.request.urlopen({model.url + "/v1/models"!r})):
    try:
        way()
        sys.exit(1)
    except OSError:
        pass
"""
    log = judged(tmp_path, model, ["right"], grader, grader_sandbox="bubblewrap", keep_folders=True)
    [event] = log.of(Exec)
    assert (event.outcome, event.backend) == ("pass", "bubblewrap")
    assert event.level.startswith("bubblewrap 1")
    assert not outside.exists()
    assert list((tmp_path / "run" / "tasks" / "0#0" / "files").iterdir()) == []


def test_a_system_and_its_baseline_are_judged_by_the_same_command(tmp_path: Path, model: Model, shosei: Shosei) -> None:
    run, asked = tmp_path / "run", suite(tmp_path, ["right", "wrong"], "")
    grader = 'import json, sys; sys.exit("right" not in json.load(sys.stdin)["question"])'
    options = ["--tasks", asked, "--base-url", model.url, "--run", run, "--baseline", "single", "--json"]
    options += ["--grade-with", shlex.join(command(grader))]
    code, out, said = shosei("agents", "run", *options, "--", *asking_command("print(said)"))
    values = printed(out)
    assert code == 0, said
    assert (values["solved"], values["not_judged"], values["baseline"]["solved"]) == (1, 0, 1)
    shosei("card", run)
    card = json.loads((run / "card.json").read_text())
    [cell] = [each for each in card["metrics"] if (each["id"], each["phase"]) == ("pass_at_1", "inference")]
    assert cell["value"] == 0.5
    tables = {table["key"]: table["rows"] for table in cell["breakdown"]}
    assert [row[1] for row in tables["agents.beside"]] == [0.5, 0.5]
    assert tables["accuracy.verdicts"][0][2:] == [1, 1, 0]
    items = [json.loads(line) for line in (run / "items.jsonl").read_text().splitlines()]
    assert [(item["right"], item["outcome"], item["oracle"], item["extracted"]) for item in items] == [
        (True, "pass", "command", ""),
        (False, "wrong", "command", ""),
    ]
    assert read_log(run / "log").of(RunBegin)[0].config["grade_with"]


def test_a_grader_that_cannot_be_run_is_refused_before(tmp_path: Path, model: Model, shosei: Shosei) -> None:
    file = suite(tmp_path, ["right"])
    file.write_text(file.read_text().replace('"exact"', '"command"'))
    options = ["agents", "run", "single", "--tasks", file, "--base-url", model.url, "--run", tmp_path / "run"]
    for words, expected in (
        ([], "1 tasks are judged by a command: name it with --grade-with"),
        (["--grade-with", "no-such-program x"], "no program is called 'no-such-program'"),
        (["--grade-with", "sh 'x"], "No closing quotation"),
        (["--grade-with", "sh x", "--grader-sandbox", "wood"], "'wood' is not one of 'none', 'bubblewrap'"),
    ):
        code, _, said = shosei(*options, *words)
        assert (code, expected in said) == (2, True), said
    code, _, said = shosei("exam", model.url, "--suite", file, "--run", tmp_path / "run")
    assert (code, "'shosei agents run --grade-with' only" in said) == (2, True), said
    assert command_grader(AgentsConfig()) is None
    with pytest.raises(InputError, match="no program"):
        command_grader(AgentsConfig(grade_with="''"))
