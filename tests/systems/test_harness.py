"""Systems that fail, in every way there is: each task fails alone, with its reason, and the run goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents_model import Model
from agents_runs import broken, command, errors, measure, tasks
from shosei.errors import InputError
from shosei.log import ProcExit, Request, Restart, Sample, Score, Window, Workflow
from shosei.systems.config import AgentsConfig
from shosei.systems.harness import check
from shosei.systems.system import System
from supervised import eventually, linux, lives

FAILURES = {
    "raises": ("raised", "LookupError: nothing to be found"),
    "hangs": ("timeout", "no answer within 4 s"),
    "dies": ("crashed", "exit code 3, and no answer"),
    "killed": ("crashed", "ended by signal SIGKILL"),
    "returns garbage": ("raised", "TypeError: the answer is of type int, not str"),
    "raises a group": ("raised", "LookupError: nothing to be found"),
    "floods": ("flood", "its answer has more than 1048576 bytes"),
    "prints without end": ("timeout", "no answer within 4 s"),
    "prints 3 MB": ("", ""),
    "says nothing": ("no answer", "its answer is empty"),
    "ignores": ("unused endpoint", "it made no call to the base URL that it was given"),
    "prints garbage": ("", ""),
    "leaves a child": ("", ""),
    "is well": ("", ""),
}


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    server = Model(lambda _body: "42")
    yield server
    server.stop()


def test_a_task_that_fails_fails_alone_and_says_why(tmp_path: Path, model: Model) -> None:
    log = measure(tmp_path / "run", broken(), model.url, tasks(FAILURES), concurrency=3, seconds=4)
    ended = {event.item: (event.error, event.message) for event in log.of(Workflow)}
    assert ended == {str(number): failure for number, failure in enumerate(FAILURES.values())}
    scores = {score.item: (score.error, score.answer) for score in log.of(Score)}
    assert scores == {item: (error, "" if error else "42") for item, (error, _) in ended.items()}
    assert {(request.agent, request.attribution) for request in log.of(Request)} == {("solo", "key")}
    [window] = log.of(Window)
    assert window.begin_ns <= min(event.scheduled_ns for event in log.of(Workflow))
    assert window.end_ns >= max(event.end_ns for event in log.of(Workflow))
    said = (tmp_path / "run" / "agents.txt").read_bytes()
    assert b"LookupError: nothing to be found" in said
    for words in (b"first words", b"last words", b"bytes left out ...]"):
        assert words in said
    assert len(said) < 1 << 20


@linux
def test_the_system_s_processes_are_metered_and_nothing_is_left_of_them(tmp_path: Path, model: Model) -> None:
    log = measure(tmp_path / "run", broken(), model.url, tasks(["leaves a child", "hangs"]), seconds=2)
    assert max(sample.processes or 0 for sample in log.of(Sample) if sample.name == "broken") >= 2
    assert [(event.child, event.planned) for event in log.of(ProcExit)] == [("broken", True)]
    left = [path for path in Path("/proc").glob("[0-9]*/environ") if _holds(path, str(tmp_path / "run").encode())]
    assert eventually(lambda: not [path for path in left if path.exists()], 5)


@linux
@pytest.mark.parametrize("kind", ["leaves a session", "leaves a daemon"])
def test_what_a_task_leaves_behind_ends_with_it_whatever_session_it_is_in(
    tmp_path: Path, model: Model, kind: str
) -> None:
    given = tasks([kind, "waits for the one before"])
    log = measure(tmp_path / "run", broken(), model.url, given, concurrency=2, seconds=20, keep_folders=True)
    assert errors(log) == {"0": "", "1": ""}
    left = int((tmp_path / "run" / "tasks" / "0#0" / "files" / "left").read_text())
    seen = (tmp_path / "run" / "tasks" / "1#0" / "files" / "seen").read_text()
    assert (seen, lives(left)) == ("gone", False)


def _holds(path: Path, text: bytes) -> bool:
    try:
        return b"SHOSEI_RUN=" + text in path.read_bytes()
    except OSError:
        return False


def test_a_crash_of_the_host_is_one_of_the_system_which_is_started_again(tmp_path: Path, model: Model) -> None:
    log = measure(tmp_path / "run", broken(), model.url, tasks(["is well", "ends its host", "is well"]))
    assert errors(log) == {"0": "", "1": "crashed", "2": ""}
    assert [(event.planned, event.signal) for event in log.of(ProcExit)] == [(False, 9), (True, 15)]
    assert max(event.failure for event in log.of(Restart)) == 1


@pytest.mark.parametrize(
    ("budget", "calls", "message"),
    [
        ({"calls": 5}, 5, "calls"),
        ({"tokens": 40}, 4, "tokens"),
    ],
)
def test_a_budget_ends_a_runaway_loop_at_once(
    tmp_path: Path, model: Model, budget: dict[str, int], calls: int, message: str
) -> None:
    log = measure(tmp_path / "run", broken(), model.url, tasks(["runs away", "is well"]), **budget)
    first, second = log.of(Workflow)
    assert (first.error, first.message, first.calls, second.error) == ("budget", message, calls, "")
    assert [request.error for request in log.of(Request) if request.task == "0#0"] == [""] * calls + ["budget"]


def test_no_call_gets_past_a_budget_by_another_path(tmp_path: Path) -> None:
    server = Model(lambda _body: "42")
    log = measure(tmp_path / "run", broken(), server.url, tasks(["strays"]), calls=1)
    server.stop()
    assert errors(log) == {"0": ""}
    assert [request.error for request in log.of(Request)] == ["", "4xx", "4xx", "4xx"]
    assert len(server.bodies) == 1


def test_seconds_end_a_runaway_loop(tmp_path: Path, model: Model) -> None:
    log = measure(tmp_path / "run", broken(), model.url, tasks(["runs away"]), seconds=1)
    assert errors(log) == {"0": "timeout"}


def test_an_open_loop_counts_from_the_schedule(tmp_path: Path, model: Model) -> None:
    log = measure(tmp_path / "run", broken(), model.url, tasks(["is well"] * 8), rate=40, samples=2)
    workflows = log.of(Workflow)
    assert len({event.task for event in workflows}) == 16
    assert all(event.scheduled_ns <= event.begin_ns for event in workflows)
    assert len({event.scheduled_ns for event in workflows}) == 16


SHELL = """
read -r task
case $task in
    *'"question": "is well"'*) curl="$OPENAI_BASE_URL/chat/completions" ;;
    *raises*) echo 'no luck' >&2; exit 4 ;;
    *garbage*) printf '\\377\\376'; exit ;;
    *floods*) yes ;;
    *dies*) kill -9 $$ ;;
esac
%s -c '
import json, sys, urllib.request
body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "?"}]}).encode()
asked = urllib.request.Request(sys.argv[1], body, {"x-agent": "shell", "Content-Type": "application/json"})
print(json.load(urllib.request.urlopen(asked))["choices"][0]["message"]["content"])
' "$curl"
"""


def test_a_command_in_another_language_is_a_system(tmp_path: Path, model: Model) -> None:
    system = System.of_command("shell", ["sh", "-c", SHELL % command("")[0]])
    given = tasks(["is well", "raises", "garbage", "floods", "dies"])
    log = measure(tmp_path / "run", system, model.url, given, concurrency=2)
    assert errors(log) == {"0": "", "1": "raised", "2": "no answer", "3": "flood", "4": "crashed"}
    assert [score.answer.strip() for score in log.of(Score) if not score.error] == ["42"]
    assert {event.message for event in log.of(Workflow) if event.error == "raised"} == {"no luck"}
    assert [request.agent for request in log.of(Request)] == ["shell"]


def test_what_cannot_begin_is_refused_before() -> None:
    with pytest.raises(InputError, match="no answer from"):
        asyncio.run(check(AgentsConfig(), "http://127.0.0.1:9", tasks(["is well"])))
    with pytest.raises(InputError, match="cannot load agents_systems:nobody"):
        System.of_function("nobody", "agents_systems:nobody")
    with pytest.raises(InputError, match="no such program"):
        System.of_command("command", ["no-such-program"])
