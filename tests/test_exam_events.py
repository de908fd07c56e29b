"""The exam against a server of known behaviour: exactly these events, from the command line's point of view too."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shosei.errors import InputError
from shosei.exam import ExamConfig, check, run_exam
from shosei.files import sha256
from shosei.log import Exec, Log, Note, Request, RunBegin, RunEnd, Score, Writer, attempts, open_run, read_log
from shosei.metrics.accuracy.grading import grade, outcomes
from shosei.wire.suite import Task, write_suite

SHOSEI = [sys.executable, "-c", "from shosei.cli.main import main; main()"]


class Server:
    """An OpenAI-compatible server in a thread. It answers a question by ``answers[question]``: a text, an HTTP status,
    ``cut`` (the connection breaks within the answer) or ``hang``; other questions are echoed.
    """

    def __init__(self) -> None:
        self.answers: dict[str, str | int] = {}
        self.bodies: list[dict[str, Any]] = []
        self.purposes: set[str] = set()
        self.in_flight = self.most_in_flight = 0
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self.thread.start()
        started.wait()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def _serve(self, started: threading.Event) -> None:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        self.loop.run_until_complete(runner.setup())
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self.loop.run_until_complete(web.SockSite(runner, listener).start())
            started.set()
            self.loop.run_forever()
            self.loop.run_until_complete(runner.cleanup())

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "書生", "object": "model"}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.purposes.add(request.headers.get("x-shosei-purpose", ""))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(request, body["messages"][-1]["content"])
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request, question: str) -> web.StreamResponse:
        answer = self.answers.get(question, question)
        if answer == "hang":
            await asyncio.sleep(1000)
        if answer == "cut":
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"id": "x", "choices"')
            assert request.transport is not None
            request.transport.abort()
            return response
        if isinstance(answer, int):
            return web.json_response({"error": {"message": "no", "code": None}}, status=answer)
        await asyncio.sleep(0.02)
        choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(question), "completion_tokens": len(answer), "total_tokens": 0}
        return web.json_response({"id": f"chat-{question}", "choices": [choice], "usage": usage})


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def task(item: str, question: str, truth: str, grader: str = "exact", **fields: Any) -> Task:
    messages = [{"role": "user", "content": question}]
    return Task(
        id=item, suite=fields.pop("suite", "kana"), lang=fields.pop("lang", "ja"), cluster=f"c-{item}",
        messages=messages, grader=grader, truth=truth, **fields,
    )  # fmt: skip


def function(item: str, question: str) -> Task:
    tests: list[tuple[list[Any], Any]] = [([1], 3), ([-2], 0)]
    fields: dict[str, Any] = {"suite": "functions", "lang": "zh", "entry_point": "加二", "tests": tests}
    return task(item, question, "def 加二(x):\n    return x + 2", "python", **fields)


def examine(server: Server, folder: Path, tasks: list[Task], **options: Any) -> Log:
    async def main() -> None:
        config = await check(ExamConfig(**options), server.url)
        run = open_run(folder, must_exist=False)
        with run.recording("exam", "inference", sandbox=config.sandbox) as record:
            await run_exam(config, server.url, tasks, record.writer)

    asyncio.run(main())
    return read_log(folder / "log")


def shosei(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SHOSEI_")}
    return subprocess.run([*SHOSEI, *map(str, arguments)], capture_output=True, text=True, env=environment)


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
    log = examine(server, tmp_path, tasks)
    scores = {score.item: score for score in log.of(Score, "inference")}
    requests = {request.task: request for request in log.of(Request, "inference")}
    assert scores.keys() == requests.keys() == {each.id for each in tasks}
    assert {item: score.error for item, score in scores.items()} == {
        "right": "", "wrong": "", "busy": "429", "broken": "5xx", "cut": "cut stream", "empty": ""
    }  # fmt: skip
    assert {item: request.error for item, request in requests.items()} == {
        item: score.error for item, score in scores.items()
    }
    assert {item: grade(score, {}) for item, score in scores.items()} == {each.id: each.id == "right" for each in tasks}
    right = scores["right"]
    assert (right.suite, right.cluster, right.grader, right.truth, right.answer, right.lang, right.sample) == (
        "kana", "c-right", "exact", "ヒラガナ", "ヒラガナ。", "ja", 0
    )  # fmt: skip
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
    log = examine(server, tmp_path, tasks, concurrency=3, samples=2, max_tokens=10)
    assert sorted((score.item, score.sample) for score in log.of(Score)) == sorted(
        (each.id, sample) for each in tasks for sample in (0, 1)
    )
    assert 1 < server.most_in_flight <= 3
    asked = {(body["messages"][0]["content"], body["max_tokens"]) for body in server.bodies}
    assert asked == {(f"第{index}题", min(index + 1, 10)) for index in range(20)}
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
    log = examine(server, tmp_path, [*tasks, task("other", "かな", "かな")], sandbox="rlimits")
    executions = {event.item: event for event in log.of(Exec, "inference")}
    assert {item: event.outcome for item, event in executions.items()} == {
        "对": "pass", "错": "wrong", "挂": "exception", "无": "no code"
    }  # fmt: skip
    assert {(event.backend, event.level, event.oracle) for event in executions.values()} == {
        ("rlimits", "rlimits", "outside")
    }
    assert executions["对"].cpu_ns > 0
    assert executions["无"].cpu_ns is None
    results = {score.item: grade(score, outcomes(log.of(Exec))) for score in log.of(Score)}
    assert results == {"对": True, "错": False, "挂": False, "无": False, "断": False, "other": True}
    assert not log.of(Note)


def test_programs_run_when_all_is_asked_and_each_score_follows_its_outcome(server: Server, tmp_path: Path) -> None:
    server.answers = dict.fromkeys(("甲", "乙"), "def 加二(x):\n    return x + 2")
    tasks = [function("甲", "甲"), function("乙", "乙"), *(task(f"t{index}", "かな", "かな") for index in range(5))]
    log = examine(server, tmp_path, tasks, sandbox="rlimits", concurrency=1)
    assert max(request.seq for request in log.of(Request)) < min(event.seq for event in log.of(Exec))
    scored = {score.item: score.seq for score in log.of(Score)}
    assert len(scored) == 7
    assert all(event.seq < scored[event.item] for event in log.of(Exec))


def test_an_interruption_leaves_no_program_without_its_outcome(server: Server, tmp_path: Path) -> None:
    server.answers = {"止": "import time\ntime.sleep(600)", "好": "def 加二(x):\n    return x + 2"}
    tasks = [function("stuck", "止"), function("good", "好"), function("stuck too", "止"), task("kana", "かな", "かな")]

    async def main(writer: Writer) -> None:
        config = await check(ExamConfig(sandbox="rlimits"), server.url)
        good = asyncio.Event()
        exam = asyncio.create_task(
            run_exam(
                config, server.url, tasks, writer, lambda counts: good.set() if counts["functions"].executed else None
            )
        )
        await good.wait()
        exam.cancel()
        await asyncio.wait([exam])

    with open_run(tmp_path, must_exist=False).recording("exam", "inference") as record:
        asyncio.run(main(record.writer))
    log = read_log(tmp_path / "log")
    assert {event.item for event in log.of(Exec)} == {"good"}
    assert {score.item for score in log.of(Score)} == {"good", "kana"}
    assert len(log.of(Request)) == 4


def test_without_a_sandbox_programs_are_asked_but_not_run(server: Server, tmp_path: Path) -> None:
    log = examine(server, tmp_path, [function("a", "写"), function("b", "编")])
    assert len(log.of(Score)) == 2
    assert not log.of(Exec)
    (note,) = log.of(Note)
    assert "2 python tasks" in note.text
    assert "--sandbox rlimits" in note.text


def test_a_configuration_that_cannot_work_is_refused(server: Server) -> None:
    with pytest.raises(InputError, match="sandbox 'bubblewrap' is not there yet"):
        ExamConfig(sandbox="bubblewrap")
    with pytest.raises(InputError, match="no answer from"):
        asyncio.run(check(ExamConfig(), "http://127.0.0.1:9"))


def test_the_command(server: Server, tmp_path: Path) -> None:
    server.answers = {"写": "def 加二(x): return x + 2", "急": 429}
    suites, run = tmp_path / "suites", tmp_path / "run"
    write_suite(suites / "functions.jsonl", [function("f", "写")])
    write_suite(suites / "kana.jsonl", [task("a", "かな", "かな"), task("b", "急", "x")])
    options = ["--sandbox", "rlimits", "--concurrency", "2", "--json"]
    done = shosei("exam", f"{server.url}/v1", "--suite", suites, "--run", run, *options)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["suites"] == {
        "functions": {"answered": 1, "failed": 0, "executed": 1},
        "kana": {"answered": 1, "failed": 1, "executed": 0},
    }
    assert "exam: 3/3 asked, 1 failed" in done.stderr
    assert "exam: 1/1 programs run" in done.stderr
    log = read_log(run / "log")
    (begin,) = log.of(RunBegin)
    assert (begin.verb, begin.phase, begin.sandbox) == ("exam", "inference", "rlimits")
    assert begin.config["concurrency"] == 2
    assert begin.config["model"] == "書生"
    assert begin.hashes == {f"suite:{name}": sha256(suites / f"{name}.jsonl") for name in ("functions", "kana")}
    assert [end.exit_code for end in log.of(RunEnd)] == [0]
    one = shosei("exam", server.url, "--suite", suites / "functions.jsonl", "--run", run)
    assert one.returncode == 0
    assert "add --sandbox rlimits" in one.stdout
    assert read_log(run / "log").attempt == 2


def test_sigterm_ends_the_command_with_its_record(server: Server, tmp_path: Path) -> None:
    write_suite(tmp_path / "kana.jsonl", [task(str(number), "かな", "かな") for number in range(5000)])
    arguments = ["exam", server.url, "--suite", str(tmp_path / "kana.jsonl"), "--run", str(tmp_path / "run")]
    with subprocess.Popen([*SHOSEI, *arguments], stderr=subprocess.DEVNULL) as process:
        while not server.bodies:
            time.sleep(0.02)
        process.terminate()
    assert process.returncode == 128 + signal.SIGTERM
    log = read_log(tmp_path / "run" / "log")
    assert [end.exit_code for end in log.of(RunEnd)] == [128 + signal.SIGTERM]
    assert len(log.of(Score)) < 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://127.0.0.1:9"], "no answer from http://127.0.0.1:9/v1/models"),
        (["localhost:9"], "is no URL"),
        (["http://127.0.0.1:9", "--sandbox", "docker"], "sandbox 'docker' is not there yet"),
        (["http://127.0.0.1:9", "--set", "exam.concurency=2"], "did you mean 'concurrency'?"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_trace(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_suite(tmp_path / "kana.jsonl", [task("a", "かな", "かな")])
    done = shosei("exam", *arguments, "--suite", tmp_path / "kana.jsonl", "--run", tmp_path / "run")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_exam_without_a_single_answer_is_invalid(server: Server, tmp_path: Path) -> None:
    server.answers = {"坏": 500}
    write_suite(tmp_path / "kana.jsonl", [task("a", "坏", "x")])
    done = shosei("exam", server.url, "--suite", tmp_path / "kana.jsonl", "--run", tmp_path / "run")
    assert done.returncode == 5


def test_what_was_answered_before_an_interruption_is_kept(server: Server, tmp_path: Path) -> None:
    server.answers = {"等": "hang"}
    write_suite(tmp_path / "kana.jsonl", [task("a", "かな", "かな"), task("b", "等", "x"), task("c", "カナ", "カナ")])
    arguments = ["exam", server.url, "--suite", str(tmp_path / "kana.jsonl"), "--run", str(tmp_path / "run")]
    exam = subprocess.Popen([*SHOSEI, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    # Recorded, not only answered: buffered events reach the log within a second.
    log = tmp_path / "run" / "log"
    while not attempts(log) or len(read_log(log).of(Score)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    exam.send_signal(signal.SIGINT)
    assert "Traceback" not in exam.communicate()[1]
    assert exam.returncode == 130
    events = read_log(log)
    assert sorted(score.item for score in events.of(Score)) == ["a", "c"]
    assert [end.exit_code for end in events.of(RunEnd)] == [130]


def test_nothing_heavy_is_loaded() -> None:
    heavy = {"torch", "transformers", "tokenizers", "safetensors", "fastapi", "uvicorn"}
    script = f"import shosei.exam, shosei.cli.exam, sys; print(sorted({heavy!r} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"
