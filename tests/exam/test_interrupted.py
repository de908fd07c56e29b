"""Exams that a signal ends, and exams that go on or run their programs again afterwards."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from exam_server import Server
from exam_tasks import SHOSEI, function, shosei, task
from progress_display import but_progress
from shosei.log import Exec, RunEnd, Score, attempts, read_log
from shosei.wire.suite import write_suite
from supervised import eventually


def test_programs_are_run_again_without_the_server(server: Server, tmp_path: Path) -> None:
    server.answers = {"写": "def 加二(x): return x + 2", "编": "def 加二(x): return x"}
    suite, run = tmp_path / "functions.jsonl", tmp_path / "run"
    write_suite(suite, [function("f", "写"), function("g", "编"), task("a", "かな", "かな")])
    options = ("--sandbox", "rlimits")
    assert shosei("exam", server.url, "--suite", suite, "--run", run, *options).returncode == 0
    asked, before = len(server.bodies), read_log(run / "log")
    (segment,) = (run / "log").glob("*.jsonl")  # as an earlier version found the programs
    segment.write_text(segment.read_text("utf-8").replace('"outcome":"pass"', '"outcome":"exception"'), "utf-8")
    listed = run / "items.jsonl"  # as an earlier version graded the answers
    older = [json.loads(line) | {"grading_version": 1, "right": False} for line in listed.read_text().splitlines()]
    listed.write_text("".join(json.dumps(item) + "\n" for item in older), "utf-8")
    done = shosei("exam", "--regrade", run, *options, "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["changed"] == [{"task": "functions/f", "before": "exception", "after": "pass"}]
    assert (values["executed"], values["attempt"], len(server.bodies)) == (2, 1, asked)
    after = read_log(run / "log")
    assert sorted(event.outcome for event in after.of(Exec)) == ["exception", "pass", "wrong", "wrong"]
    assert [event.exit_code for event in after.of(RunEnd)] == [0, 0]
    items = {item["item"]: item["right"] for item in map(json.loads, (run / "items.jsonl").read_text().splitlines())}
    assert items == {"f": True, "g": False, "a": True}
    regraded = [json.loads(line) for line in (run / "regraded.jsonl").read_text().splitlines()]
    assert sorted((each["after"]["item"], each["before"]["right"]) for each in regraded) == [("a", False), ("f", False)]
    assert shosei("card", run).returncode == 0
    (warning,) = [line for line in json.loads((run / "card.json").read_bytes())["warnings"] if "items.jsonl" in line]
    assert "written by version 1" in warning
    assert "2 as wrong that are right now" in warning
    identities = {score.item: score.identity for score in after.of(Score)}
    assert identities["a"] == {score.item: score.identity for score in before.of(Score)}["a"]
    assert identities["f"] != {score.item: score.identity for score in before.of(Score)}["f"]
    suite.write_text(suite.read_text("utf-8").replace("写", "書"), "utf-8")
    refused = shosei("exam", "--regrade", run, *options)
    assert (refused.returncode, len(but_progress(refused.stderr))) == (2, 1)
    assert "is not the one that was asked" in refused.stderr
    suite.unlink()
    assert "name it with --suite" in shosei("exam", "--regrade", run, *options).stderr
    assert "name the URL of a server" in shosei("exam", "--run", run).stderr


def test_a_killed_exam_goes_on_and_asks_nothing_twice(server: Server, tmp_path: Path) -> None:
    server.answers = {"写": "def 加二(x): return x + 2", "等": "hang"}
    suite, run = tmp_path / "mixed.jsonl", tmp_path / "run"
    write_suite(
        suite, [*(task(f"t{n}", f"第{n}题", "x") for n in range(5)), function("f", "写"), task("late", "等", "x")]
    )
    arguments = ["exam", server.url, "--suite", str(suite), "--run", str(run), "--sandbox", "rlimits"]
    with subprocess.Popen([*SHOSEI, *arguments], stderr=subprocess.DEVNULL) as exam:
        deadline = time.monotonic() + 60
        while not attempts(run / "log") or len(read_log(run / "log").of(Score)) < 6:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        exam.kill()
    server.answers["等"] = "x"
    asked = len(server.bodies)
    done = shosei(*arguments, "--concurrency", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert "6 answers and 0 executions are kept" in done.stderr
    assert [body["messages"][0]["content"] for body in server.bodies[asked:]] == ["等"]
    log = read_log(run / "log")
    assert log.attempt == 1
    assert sorted(score.item for score in log.of(Score)) == ["f", "late", "t0", "t1", "t2", "t3", "t4"]
    assert [event.outcome for event in log.of(Exec)] == ["pass"]
    assert len((run / "items.jsonl").read_text().splitlines()) == 7
    assert shosei(*arguments).returncode == 0  # that one was whole: this is another
    assert len(server.bodies) == asked + 1 + 7
    assert read_log(run / "log").attempt == 2


def test_other_settings_or_tasks_are_another_exam(server: Server, tmp_path: Path) -> None:
    suite, run = tmp_path / "kana.jsonl", tmp_path / "run"
    server.answers = {"等": "hang"}
    write_suite(suite, [task("a", "かな", "かな"), task("b", "等", "x")])
    arguments = ["exam", server.url, "--suite", str(suite), "--run", str(run)]
    with subprocess.Popen([*SHOSEI, *arguments], stderr=subprocess.DEVNULL) as exam:
        while not attempts(run / "log") or not read_log(run / "log").of(Score):
            time.sleep(0.02)
        exam.kill()
    server.answers["等"] = "x"
    assert shosei(*arguments, "--temperature", "0.5").returncode == 0
    assert read_log(run / "log").attempt == 2
    assert len(read_log(run / "log").of(Score)) == 2


INTERRUPTIONS = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])


@INTERRUPTIONS
def test_what_was_answered_before_an_interruption_is_kept(
    server: Server, tmp_path: Path, signum: signal.Signals
) -> None:
    server.answers = {"等": "hang"}
    write_suite(tmp_path / "kana.jsonl", [task("a", "かな", "かな"), task("b", "等", "x"), task("c", "カナ", "カナ")])
    arguments = ["exam", server.url, "--suite", str(tmp_path / "kana.jsonl"), "--run", str(tmp_path / "run")]
    log = tmp_path / "run" / "log"
    with subprocess.Popen([*SHOSEI, *arguments], stderr=subprocess.PIPE, text=True) as exam:
        # Recorded, not only answered: buffered events reach the log within a second.
        assert eventually(lambda: attempts(log) and len(read_log(log).of(Score)) == 2)
        exam.send_signal(signum)
        assert "Traceback" not in exam.communicate()[1]
    assert exam.returncode == 128 + signum
    events = read_log(log)
    assert sorted(score.item for score in events.of(Score)) == ["a", "c"]
    assert [end.exit_code for end in events.of(RunEnd)] == [128 + signum]


@INTERRUPTIONS
def test_an_interrupted_judge_ends_with_its_record(server: Server, tmp_path: Path, signum: signal.Signals) -> None:
    write_suite(tmp_path / "kana.jsonl", [task("a", "かな", "かな")])
    run = tmp_path / "run"
    assert shosei("exam", server.url, "--suite", tmp_path / "kana.jsonl", "--run", run).returncode == 0
    server.otherwise, asked = "hang", len(server.bodies)
    with subprocess.Popen([*SHOSEI, "judge", str(run), "--judge-url", server.url], stderr=subprocess.DEVNULL) as judge:
        assert eventually(lambda: len(server.bodies) > asked)
        judge.send_signal(signum)
    assert judge.returncode == 128 + signum
    ends = read_log(run / "log").of(RunEnd)
    assert [(end.verb, end.exit_code) for end in ends] == [("exam", 0), ("judge", 128 + signum)]


@INTERRUPTIONS
def test_an_interrupted_regrading_ends_with_its_record(server: Server, tmp_path: Path, signum: signal.Signals) -> None:
    server.answers = {"写": "def 加二(x):\n    while True: pass"}
    suite, run = tmp_path / "functions.jsonl", tmp_path / "run"
    write_suite(suite, [function("f", "写")])
    asked = ("exam", server.url, "--suite", suite, "--run", run, "--sandbox", "none")
    assert shosei(*asked).returncode == 0
    limits = ("--sandbox", "rlimits", "--set", "exam.cpu_s=1000", "--set", "exam.wall_s=1000")
    with subprocess.Popen([*SHOSEI, "exam", "--regrade", str(run), *limits], stderr=subprocess.DEVNULL) as exam:
        assert eventually(lambda: any(map(busy, psutil.Process(exam.pid).children(recursive=True))))
        exam.send_signal(signum)
    assert exam.returncode == 128 + signum
    assert [end.exit_code for end in read_log(run / "log").of(RunEnd)] == [0, 128 + signum]


def busy(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return sum(process.cpu_times()[:2]) > 1
    return False
