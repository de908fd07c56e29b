"""The exam against a server of known behaviour: exactly these events, from the command line's point of view too."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exam_server import Server
from exam_tasks import function, shosei, task
from progress_display import Recorder, but_progress
from shosei.errors import InputError
from shosei.exam import ExamConfig, check, run_exam
from shosei.files import sha256
from shosei.log import Exec, Log, Note, Request, RunBegin, RunEnd, Score, open_run, read_log
from shosei.metrics.accuracy.items import items
from shosei.metrics.grading.grade import grade, outcomes
from shosei.progress import shown_on
from shosei.wire.suite import Task, write_suite
from walls import needs_wall


def examine(server: Server, folder: Path, tasks: list[Task], **options: Any) -> Log:
    async def main() -> None:
        config, proof = await check(ExamConfig(**options), server.url, tasks)
        run = open_run(folder, must_exist=False)
        with run.recording("exam", "inference", sandbox=proof.level if proof else "none") as record:
            await run_exam(config, proof, server.url, tasks, record.writer)

    asyncio.run(main())
    return read_log(folder / "log")


def test_every_task_becomes_one_request_and_one_score(server: Server, tmp_path: Path) -> None:
    server.answers = {"ひらがな": "ヒラガナ。", "かな": "かな", "急": 429, "坏": 500, "断": "cut", "空": ""}
    tasks = [
        task("right", "ひらがな", "ヒラガナ", references=["ヒラガナ！"]),
        task("wrong", "かな", "カナ"),
        task("busy", "急", "x", lang="zh"),
        task("broken", "坏", "x", lang="zh"),
        task("cut", "断", "x", lang="zh"),
        task("empty", "空", "x", lang="zh"),
    ]
    log = examine(server, tmp_path, tasks, retries=0)
    scores = {score.item: score for score in log.of(Score, "inference")}
    requests = {request.task: request for request in log.of(Request, "inference")}
    assert scores.keys() == requests.keys() == {each.id for each in tasks}
    assert {item: score.error for item, score in scores.items()} == {
        "right": "",
        "wrong": "",
        "busy": "429",
        "broken": "5xx",
        "cut": "cut stream",
        "empty": "",
    }
    assert {item: request.error for item, request in requests.items()} == {
        item: score.error for item, score in scores.items()
    }
    assert {item: grade(score, {}) for item, score in scores.items()} == {each.id: each.id == "right" for each in tasks}
    right = scores["right"]
    assert (right.suite, right.cluster, right.grader, right.truth, right.answer, right.lang, right.sample) == (
        "kana",
        "c-right",
        "exact",
        "ヒラガナ",
        "ヒラガナ。",
        "ja",
        0,
    )
    request = requests["right"]
    assert (request.id, request.status, request.tokens_in, request.tokens_out) == (right.request, 200, 4, 5)
    assert (request.purpose, request.seen_by, request.stream) == ("exam", "client", False)
    assert request.scheduled_ns <= request.sent_ns <= request.first_byte_ns <= request.done_ns
    assert [requests[item].status for item in ("busy", "broken")] == [429, 500]
    assert server.purposes == {"exam"}
    assert not log.of(Exec)
    assert not log.of(Note)
    assert (right.question, right.references) == ("ひらがな", ["ヒラガナ！"])


def test_scores_say_by_which_tasks_and_decoding_they_were_made(server: Server, tmp_path: Path) -> None:
    def identity(name: str, tasks: list[Task], **options: Any) -> dict[str, str]:
        return {score.suite: score.identity for score in examine(server, tmp_path / name, tasks, **options).of(Score)}

    kana, other = task("a", "かな", "カナ"), task("b", "x", "x", suite="other")
    first = identity("first", [kana, other])
    assert len({*first.values()}) == 2
    assert identity("again", [other, kana], concurrency=1, samples=2) == first
    assert identity("truth", [task("a", "かな", "仮名"), other])["kana"] != first["kana"]
    assert identity("question", [task("a", "かな？", "カナ"), other])["kana"] != first["kana"]
    assert identity("warmer", [kana, other], temperature=0.5)["kana"] != first["kana"]
    assert identity("alone", [kana])["kana"] == first["kana"]


def test_what_is_asked_follows_the_configuration(server: Server, tmp_path: Path) -> None:
    tasks = [task(f"t{index}", f"第{index}题", "x", max_tokens=index + 1) for index in range(20)]
    log = examine(server, tmp_path, tasks, concurrency=3, samples=2)
    assert sorted((score.item, score.sample) for score in log.of(Score)) == sorted(
        (each.id, sample) for each in tasks for sample in (0, 1)
    )
    assert 1 < server.most_in_flight <= 3
    asked = {(body["messages"][0]["content"], body["max_tokens"]) for body in server.bodies}
    assert asked == {(f"第{index}题", index + 1) for index in range(20)}
    assert {(body["model"], body["temperature"], body.get("stream", False)) for body in server.bodies} == {
        ("書生", 0, False)
    }


def test_programs_are_run_when_a_sandbox_was_asked_for(server: Server, tmp_path: Path) -> None:
    server.answers = {
        "对": "代码：\n```python\ndef 加二(x):\n    return x + 2\n```\n完成。",
        "错": "def 加二(x):\n    return 2 * x + 1",
        "挂": "def 加二(x):\n    raise ValueError",
        "无": "我不会写代码。",
        "断": 500,
    }
    tasks = [function(question, question) for question in server.answers]
    log = examine(server, tmp_path, [*tasks, task("other", "かな", "かな")], sandbox="rlimits", retries=0)
    executions = {event.item: event for event in log.of(Exec, "inference")}
    assert {item: event.outcome for item, event in executions.items()} == {
        "对": "pass",
        "错": "wrong",
        "挂": "exception",
        "无": "no code",
    }
    assert {(event.backend, event.oracle) for event in executions.values()} == {("rlimits", "outside")}
    assert {event.level.split("/")[0].split()[0] for event in executions.values()} == {"rlimits"}
    assert executions["对"].cpu_ns > 0
    assert executions["无"].cpu_ns is None
    results = {score.item: grade(score, outcomes(log.of(Exec))) for score in log.of(Score)}
    assert results == {"对": True, "错": False, "挂": False, "无": False, "断": False, "other": True}
    assert not log.of(Note)


def test_what_is_shown_of_an_answer_is_the_program_that_ran(server: Server, tmp_path: Path) -> None:
    wrong, right = "def 加二(x):\n    return x - 2", "def 加二(x):\n    return x + 2"
    server.answers = {"甲": f"```python\n{wrong}\n```\nCorrected:\n```python\n{right}\nx = int(input())\n```"}
    log = examine(server, tmp_path, [function("甲", "甲")], sandbox="rlimits")
    [item] = [json.loads(line) for line in items(log).splitlines()]
    assert (item["right"], item["extracted"]) == (True, right)


def test_programs_run_when_all_is_asked(server: Server, tmp_path: Path) -> None:
    server.answers = dict.fromkeys(("甲", "乙"), "def 加二(x):\n    return x + 2")
    tasks = [function("甲", "甲"), function("乙", "乙"), *(task(f"t{index}", "かな", "かな") for index in range(5))]
    log = examine(server, tmp_path, tasks, sandbox="rlimits", concurrency=1)
    assert max(request.seq for request in log.of(Request)) < min(event.seq for event in log.of(Exec))
    assert len(log.of(Score)) == 7


def checked(item: str, test: str, truth: str = "def f(x):\n    return x + 1") -> Task:
    return task(item, item, truth, "python", suite="checked", entry_point="f", test=test)


@needs_wall
def test_where_the_tests_run_is_decided_by_the_reference_never_by_the_answer(server: Server, tmp_path: Path) -> None:
    liar = "```python\nclass Liar:\n    def __eq__(self, other): return True\ndef f(x): return Liar()\n```"
    server.answers = {"plain": liar, "broken": liar, "unknown": "def f(x): return x() + 1", "returns": liar}
    server.answers |= {"object": liar, "right": "def f(x): return 1 + x()"}
    tasks = [
        checked("plain", "assert f(1) == 2"),
        checked("object", "assert f(lambda: 1) == 2", "def f(x): return x() + 1"),
        checked("right", "assert f(lambda: 1) == 2", "def f(x): return x() + 1"),
        checked("returns", "assert f(lambda: 1) == range(2)", "def f(x): return range(x() + 1)"),
        checked("broken", "assert f(1) == 3"),
        checked("unknown", "assert f(lambda: 1) == 2", truth=""),
    ]
    log = examine(server, tmp_path, tasks)
    found = {event.item: (event.oracle, event.outcome) for event in log.of(Exec)}
    assert found["plain"] == ("outside", "wrong")
    assert found["object"] == ("in_process", "wrong")
    assert found["right"] == ("in_process", "pass")
    assert found["returns"] == ("in_process", "pass")  # a forgery that only the mark tells of
    assert found["broken"] == ("outside", "wrong")
    assert found["unknown"] == ("in_process", "pass")
    (note,) = log.of(Note)
    assert "reference solutions do not pass" in note.text
    assert "checked/broken" in note.text


@needs_wall
def test_tasks_whose_tests_judge_nothing_are_named(server: Server, tmp_path: Path) -> None:
    server.answers = dict.fromkeys(("idle", "idler", "later", "fine"), "def f(*x): return 2")
    tasks = [
        checked("idle", "def test(candidate):\n    assert candidate(1) == 3"),
        checked("idler", "def check(candidate):\n    pass", truth=""),
        checked("later", "assert f(1) == 2\nassert f(int) == 2", truth=""),
        checked("fine", "assert f(1) == 2", truth=""),
    ]
    log = examine(server, tmp_path, tasks)
    assert {event.item: event.outcome for event in log.of(Exec)} == {
        "idle": "infra",
        "idler": "infra",
        "later": "infra",
        "fine": "pass",
    }
    texts = [note.text for note in log.of(Note)]
    assert any("never call the program" in text and "checked/idle, checked/idler" in text for text in texts)
    assert any("hand over objects" in text and "checked/later" in text for text in texts)


def test_without_a_sandbox_programs_are_asked_but_not_run(server: Server, tmp_path: Path) -> None:
    log = examine(server, tmp_path, [function("a", "写"), function("b", "编")], sandbox="none")
    assert len(log.of(Score)) == 2
    assert not log.of(Exec)
    (note,) = log.of(Note)
    assert "2 python tasks" in note.text
    assert "--sandbox none" in note.text


def test_an_exam_says_how_far_it_is(server: Server, tmp_path: Path) -> None:
    server.answers = {"写": "def 加二(x): return x + 2", "急": 429}
    tasks = [function("f", "写"), task("a", "かな", "かな"), task("b", "急", "x")]
    with shown_on(recorder := Recorder()):
        examine(server, tmp_path, tasks, retries=0)
    shown = {work.what: (work.done, work.total, work.unit, work.note) for work in recorder.ended}
    assert shown["asking"] == (3, 3, "answers", "1 failed")
    assert shown["running programs"] == (1, 1, "programs", "")


def test_a_configuration_that_cannot_work_is_refused(server: Server) -> None:
    with pytest.raises(InputError, match="sandbox 'docker' is not known"):
        ExamConfig(sandbox="docker")
    with pytest.raises(InputError, match="no answer from"):
        asyncio.run(check(ExamConfig(), "http://127.0.0.1:9", []))


def test_the_command(server: Server, tmp_path: Path) -> None:
    server.answers = {"写": "def 加二(x): return x + 2", "急": 429}
    suites, run = tmp_path / "suites", tmp_path / "run"
    write_suite(suites / "functions.jsonl", [function("f", "写")])
    write_suite(suites / "kana.jsonl", [task("a", "かな", "かな"), task("b", "急", "x")])
    options = ["--sandbox", "rlimits", "--concurrency", "2", "--retries", "0", "--json"]
    done = shosei("exam", f"{server.url}/v1", "--suite", suites, "--run", run, *options)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    functions, kana = values["suites"]["functions"], values["suites"]["kana"]
    for suite, (answered, failed, executed, score) in ((functions, (1, 0, 1, 1.0)), (kana, (1, 1, 0, 1.0))):
        found = [suite[name] for name in ("answered", "failed", "executed", "score", "kept", "cut", "n")]
        assert found == [answered, failed, executed, score, 0, 0, 1]
    assert (functions["errors"], kana["errors"], kana["first_error"]) == ({}, {"429": 1}, "429: no")
    log = read_log(run / "log")
    (begin,) = log.of(RunBegin)
    assert (begin.verb, begin.phase) == ("exam", "inference")
    assert re.fullmatch(r"rlimits \d+/\d+", begin.sandbox)
    assert begin.config["concurrency"] == 2
    assert begin.config["model"] == "書生"
    assert begin.hashes == {f"suite:{name}": sha256(suites / f"{name}.jsonl") for name in ("functions", "kana")}
    assert [end.exit_code for end in log.of(RunEnd)] == [0]
    items = [json.loads(line) for line in (run / "items.jsonl").read_text().splitlines()]
    assert [(item["item"], item["extracted"], item["right"], item["outcome"]) for item in items] == [
        ("f", "def 加二(x): return x + 2", True, "pass"),
        ("a", "かな", True, ""),
        ("b", "", False, "429"),
    ]
    one = shosei("exam", server.url, "--suite", suites / "functions.jsonl", "--run", run, "--sandbox", "none")
    assert one.returncode == 0
    assert "were not executed: --sandbox none" in one.stdout
    assert read_log(run / "log").attempt == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://127.0.0.1:9"], "no answer from http://127.0.0.1:9/v1/models"),
        (["localhost:9"], "is not a URL"),
        (["http://127.0.0.1:9", "--sandbox", "docker"], "sandbox 'docker' is not known"),
        (["http://127.0.0.1:9", "--set", "exam.concurency=2"], "did you mean 'concurrency'?"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_trace(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_suite(tmp_path / "kana.jsonl", [task("a", "かな", "かな")])
    done = shosei("exam", *arguments, "--suite", tmp_path / "kana.jsonl", "--run", tmp_path / "run")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(but_progress(done.stderr)) == 1
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


def test_completion_prompting_and_worked_examples(server: Server, tmp_path: Path) -> None:
    suite, train, run = tmp_path / "gsm.jsonl", tmp_path / "train.jsonl", tmp_path / "run"
    suite.write_text('{"question": "Two and two?", "answer": "2+2=<<2+2=4>>4\\n#### 4"}\n')
    train.write_text('{"question": "One and one?", "answer": "It is 2.\\n#### 2"}\n')
    arguments = ["exam", server.url, "--suite", suite, "--run", run, "--shots", "1", "--shots-from", train]
    assert shosei(*arguments).returncode == 0
    roles = [(message["role"], message["content"].split("\n")[0]) for message in server.bodies[-1]["messages"]]
    assert roles == [("user", "One and one?"), ("assistant", "It is 2."), ("user", "Two and two?")]
    server.answers = {"prompt": "Four, so 4"}
    assert shosei(*arguments, "--prompting", "completion").returncode == 0
    prompt = server.bodies[-1]["prompt"]
    assert prompt.startswith("One and one?\n")
    assert "Answer: It is 2.\n#### 2\n\nTwo and two?" in prompt
    assert prompt.endswith("Answer: ")
    (score,) = read_log(run / "log").of(Score)
    assert (score.truth, score.answer, grade(score, {})) == ("4", "Four, so 4", True)
    missing = shosei("exam", server.url, "--suite", suite, "--run", run, "--shots", "2", "--shots-from", train)
    assert (missing.returncode, len(but_progress(missing.stderr))) == (2, 1)
    assert "only 1 examples" in missing.stderr


def test_an_exam_without_a_single_answer_is_invalid(server: Server, tmp_path: Path) -> None:
    server.answers = {"坏": 500}
    write_suite(tmp_path / "kana.jsonl", [task("a", "坏", "x")])
    done = shosei("exam", server.url, "--suite", tmp_path / "kana.jsonl", "--run", tmp_path / "run", "--retries", "0")
    assert done.returncode == 5


def test_nothing_heavy_is_loaded() -> None:
    heavy = {"torch", "transformers", "tokenizers", "safetensors", "fastapi", "uvicorn"}
    script = f"import shosei.exam, shosei.cli.exam, sys; print(sorted({heavy!r} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"
