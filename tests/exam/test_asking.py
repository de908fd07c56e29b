"""How a server is asked: what a user may say, what is tried again, and what goes on."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from exam_server import Refusal, Server, suite_file, task
from shosei.exam import ExamConfig, check, run_exam
from shosei.exam.exam import Answer
from shosei.exam.served_model import ServedModel
from shosei.log import Log, Request, RunBegin, Score, open_run, read_log
from shosei.metrics.cells import compute
from shosei.metrics.reliability.error_rate import request_errors
from shosei.wire.client import Client
from shosei.wire.refusal import tokens_left
from shosei.wire.suite import Task
from verb import Shosei


def examine(server: Server, folder: Path, tasks: list[Task], **options: Any) -> Log:
    async def main() -> None:
        config, _ = await check(ExamConfig(**options), server.url, tasks)
        with open_run(folder, must_exist=False).recording("exam", "inference") as record:
            await run_exam(config, None, server.url, tasks, record.writer)

    asyncio.run(main())
    return read_log(folder / "log")


class TestWhatAUserMaySay:
    def test_suites_repeat_and_are_all_asked(self, server: Server, tmp_path: Path, shosei: Shosei) -> None:
        one, two = suite_file(tmp_path, "one", "い", "ろ"), suite_file(tmp_path, "two", "は")
        code, out, _ = shosei("exam", server.url, "--suite", one, "--suite", two, "--run", tmp_path / "run", "--json")
        assert code == 0
        assert {name: suite["answered"] for name, suite in json.loads(out)["suites"].items()} == {"one": 2, "two": 1}
        assert {*read_log(tmp_path / "run" / "log").of(RunBegin)[0].hashes} == {"suite:one", "suite:two"}

    def test_suites_that_cannot_be_told_apart_are_refused(self, server: Server, tmp_path: Path, shosei: Shosei) -> None:
        one = suite_file(tmp_path, "one", "い")
        (tmp_path / "other").mkdir()
        other = suite_file(tmp_path / "other", "one", "ろ")
        for second, message in ((one, "named 2 times"), (other, "give each suite a name of its own")):
            code, _, said = shosei("exam", server.url, "--suite", one, "--suite", second, "--run", tmp_path / "run")
            assert (code, message in said) == (2, True)

    def test_a_limit_is_a_stated_sample(self, server: Server, tmp_path: Path, shosei: Shosei) -> None:
        one = suite_file(tmp_path, "one", *(f"問{number}" for number in range(40)))
        two = suite_file(tmp_path, "two", "い", "ろ")
        asked = []
        for seed in ("1", "1", "2"):
            run = tmp_path / f"run{len(asked)}"
            options = ["--limit", "5", "--seed", seed, "--run", run]
            code, out, said = shosei("exam", server.url, "--suite", one, "--suite", two, *options)
            assert code == 0
            assert f"one: 5 tasks of 40, drawn with seed {seed}" in said
            assert "two: 2 tasks;" in said
            assert out.count(f"a sample of 5 of 40, seed {seed}") == 1
            asked.append([score.item for score in read_log(run / "log").of(Score)])
        cards = {"en": "5 of 40", "ja": "40 問から抽出した 5 問", "zh-CN": "40 道题中抽取 5 道"}
        for language, words in cards.items():
            assert shosei("card", run, "--lang", language)[0] == 0
            (line,) = [line for line in (run / "card.md").read_text("utf-8").splitlines() if words in line]
            assert "one" in line
            assert line.endswith("2")  # the seed
            assert words in (run / "card.html").read_text("utf-8")
        assert "one" in str(json.loads((run / "card.json").read_bytes())["warnings"])
        assert sorted(asked[0]) == sorted(asked[1]) != sorted(asked[2])
        assert all(len(items) == 7 and {"い", "ろ"} < {*items} for items in asked)

    def test_settings_of_a_request(self, server: Server, tmp_path: Path, shosei: Shosei) -> None:
        suite, run = suite_file(tmp_path, "one", "い"), tmp_path / "run"
        code, _, _ = shosei(
            "exam",
            f"{server.url}/v1?api-version=7",
            "--suite",
            suite,
            "--run",
            run,
            "--model",
            "他の模型",
            "--max-tokens",
            "4096",
            "--temperature",
            "0.25",
            "--extra-body",
            '{"top_k": 5, "chat_template_kwargs": {"enable_thinking": false}}',
            "--header",
            "X-Team: nlp",
            "--header",
            "Authorization: Bearer sesame",
        )
        assert code == 0
        (body,), (headers,) = server.bodies, server.headers
        assert (body["model"], body["max_tokens"], body["temperature"]) == ("他の模型", 4096, 0.25)
        assert (body["top_k"], body["chat_template_kwargs"]) == (5, {"enable_thinking": False})
        assert (headers["X-Team"], headers["Authorization"]) == ("nlp", "Bearer sesame")
        begin = read_log(run / "log").of(RunBegin)[0]
        assert begin.config["extra_body"]["top_k"] == 5
        for file in run.rglob("*"):
            assert not file.is_file() or b"sesame" not in file.read_bytes()

    def test_a_field_that_is_null_goes_out(self, server: Server, tmp_path: Path) -> None:
        examine(server, tmp_path, [task("a", "い")], extra_body={"max_tokens": None, "max_completion_tokens": 9})
        assert "max_tokens" not in server.bodies[0]
        assert server.bodies[0]["max_completion_tokens"] == 9

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--extra-body", "{top_k: 5}"], "extra_body is not JSON"),
            (["--extra-body", "[5]"], "extra_body is not a JSON object"),
            (["--extra-body", '{"messages": []}'], "'messages' follows from what is asked"),
            (["--header", "X-Key sesame"], "a header field is written as 'Name: value'"),
            (["--header", "X-Key: a\r\nB: sesame"], "a header field is written as 'Name: value'"),
            (["--header", "Content-Length: 3"], "'Content-Length' follows from the request itself"),
            (["--limit", "0"], "exam.limit"),
            (["--extra-body", '{"model": "z"}'], "'model' has an option of its own: --model NAME"),
            (["--answer-is", "number"], "index0, index1, letter, text"),
        ],
    )
    def test_what_cannot_be_said_is_one_line(
        self, server: Server, tmp_path: Path, shosei: Shosei, words: list[str], message: str
    ) -> None:
        suite = suite_file(tmp_path, "one", "い")
        code, _, said = shosei("exam", server.url, "--suite", suite, "--run", tmp_path / "run", *words)
        assert (code, said.count("\n"), message in said, "sesame" in said) == (2, 1, True, False), said

    def test_three_tasks_are_shown_as_they_were_understood(
        self, server: Server, tmp_path: Path, shosei: Shosei
    ) -> None:
        suite = tmp_path / "colours.jsonl"
        rows = [{"question": f"{number}色？", "choices": ["赤", "青"], "answer": number % 2} for number in range(4)]
        suite.write_text("".join(json.dumps(row) + "\n" for row in rows))
        _, _, said = shosei("exam", server.url, "--suite", suite, "--run", tmp_path / "run")
        shown = [line.strip() for line in said.splitlines() if "=>" in line]
        assert shown == [f"{n + 1}: {n}色？ [A. 赤] [B. 青] => {'AB'[n % 2]}. {'赤青'[n % 2]}" for n in range(3)]

    def test_graders_and_columns_that_are_not_used_are_named(
        self, server: Server, tmp_path: Path, shosei: Shosei
    ) -> None:
        suite = tmp_path / "own.csv"
        suite.write_text("質問,正解,出典,難度\n何色？,赤,本,1\n何本？,3本,本,2\n", encoding="utf-8")
        _, _, said = shosei("exam", server.url, "--suite", suite, "--run", tmp_path / "run")
        assert "own: 2 tasks; graded by text (1), number (1)" in said
        assert f"{suite}: columns not used: 出典, 難度" in said

    def test_wrong_answers_that_hold_the_truth_are_told(self, server: Server, tmp_path: Path, shosei: Shosei) -> None:
        suite = tmp_path / "own.jsonl"
        said_of = {"湖？": "たしか琵琶湖だったかと。", "川？": "琵琶湖", "山？": "富士山です。"}
        truths = zip(said_of, ("琵琶湖", "信濃川", "富士山"), strict=True)
        suite.write_text("".join(json.dumps({"question": asked, "answer": truth}) + "\n" for asked, truth in truths))
        server.answers = {f"{asked}\n\n答えだけを短く書いてください。": said for asked, said in said_of.items()}
        _, told, _ = shosei("exam", server.url, "--suite", suite, "--run", tmp_path / "run", "--lang", "ja")
        assert "own: 1 of 2 wrong answers contain the truth: 'たしか琵琶湖だったかと。' for '琵琶湖'" in told
        server.answers = dict.fromkeys(server.answers, "どれも知りません。")
        _, told, _ = shosei("exam", server.url, "--suite", suite, "--run", tmp_path / "other", "--lang", "ja")
        assert "contain the truth" not in told


class TestWhatIsTriedAgain:
    def test_a_server_that_is_busy_for_a_while(self, server: Server, tmp_path: Path) -> None:
        busy = Refusal(429, {"error": {"message": "slow down"}}, {"Retry-After": "0.3"})
        server.answers = {"い": [busy, "正"], "ろ": [503, 500, "正"], "は": 502, "に": 400}
        tasks = [task(question, question) for question in server.answers]
        log = examine(server, tmp_path, tasks, retries=2, retry_wait_s=0.01)
        found = {event.task: event for event in log.of(Request)}
        assert {item: (event.tries, event.error, event.first_try_error) for item, event in found.items()} == {
            "い": (2, "", "429"),
            "ろ": (3, "", "5xx"),
            "は": (3, "5xx", "5xx"),
            "に": (1, "4xx", "4xx"),
        }
        assert found["い"].waited_ns >= 300_000_000
        assert 30_000_000 <= found["ろ"].waited_ns < 300_000_000
        assert found["に"].waited_ns == 0
        assert {score.item: (score.error, score.answer) for score in log.of(Score)}["い"] == ("", "正")
        before = request_errors(log).figures
        assert any(figure.value == 1.0 for figure in before.values())  # of four first tries, four failed

    def test_a_server_that_is_gone_is_not_waited_for_without_end(self, server: Server, tmp_path: Path) -> None:
        server.answers = {f"問{number}": 503 for number in range(30)}
        tasks = [task(question, question) for question in server.answers]
        log = examine(server, tmp_path, tasks, retries=1, retry_wait_s=0.01, concurrency=2)
        tries = [event.tries for event in log.of(Request)]
        assert len(tries) == 30
        assert sum(tries) < 36

    def test_where_no_server_is_a_request_is_sent_again_too(self) -> None:
        async def ask() -> Answer:
            config = ExamConfig(model="書生", retries=2, retry_wait_s=0.01)
            async with Client("http://127.0.0.1:9") as client:
                return await ServedModel(client, config).answer(task("a", "い"), 0, time.monotonic_ns())

        event = asyncio.run(ask()).event
        assert isinstance(event, Request)
        assert (event.tries, event.error, event.first_try_error) == (3, "connect", "connect")
        assert event.waited_ns >= 30_000_000

    @pytest.mark.parametrize(
        ("words", "left"),
        [
            ("This model's context is 128 tokens; the prompt has 71 and the answer is to have up to 512.", 57),
            (
                "This model's maximum context length is 4,096 tokens. However, you requested 4500 tokens (3988 in the "
                "messages, 512 in the completion). Please reduce the length.",
                108,
            ),
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context length is 300 "
                "tokens and your request has 71 input tokens (512 > 300 - 71).",
                229,
            ),
            (
                "Input length: `inputs` tokens + `max_new_tokens` must be <= 600. Given: 500 `inputs` tokens and 512",
                100,
            ),
            ("You requested a total of 700 tokens, more than the maximum context length of 600.", 412),
            (
                "max_tokens is too large: 512. This model supports at most 30 completion tokens, whereas you provided "
                "512.",
                30,
            ),
            ("max_tokens: 512 > 256, which is the maximum allowed number of output tokens for this model", 256),
            ("`max_tokens` must be less than or equal to `256`, the maximum value for `max_tokens`", 256),
            ("Invalid max_tokens value, the valid range of max_tokens is [1, 256]", 256),
            ("max_tokens=512 cannot be served: only 30 tokens are left", 30),
            ("the request exceeds the available context size (100 tokens), try increasing it", 50),
            ("request (152 tokens) exceeds the available context size (100 tokens), try increasing it", None),
            ("the available context size (4096 tokens) is exceeded", None),
            ("This model's maximum context length is 100 tokens. However, your prompt has 170 tokens.", None),
            ("The prompt has 128 tokens, and the context is 128.", None),
            ("temperature must be at most 2", None),
        ],
    )
    def test_what_a_refusal_leaves_for_the_answer(self, words: str, left: int | None) -> None:
        assert tokens_left(words, 512) == left

    def test_what_does_not_fit_the_context_is_asked_once_more_with_what_is_left(
        self, server: Server, tmp_path: Path
    ) -> None:
        words = "This model's context is 100 tokens; the prompt has 71 and the answer is to have up to 512"
        too_long = Refusal(400, {"error": {"message": words, "code": "context_length_exceeded"}})
        server.answers = {"い": [too_long, "正"], "ろ": too_long}
        log = examine(server, tmp_path, [task("い", "い", max_tokens=512), task("ろ", "ろ", max_tokens=512)])
        asked = [(body["messages"][0]["content"], body["max_tokens"]) for body in server.bodies]
        assert sorted(asked) == [("い", 29), ("い", 512), ("ろ", 29), ("ろ", 512)]
        assert {score.item: score.error for score in log.of(Score)} == {"い": "", "ろ": "context limit"}
        assert {event.task: (event.tries, event.first_try_error) for event in log.of(Request)} == {
            "い": (2, "context limit"),
            "ろ": (2, "context limit"),
        }


class TestWhatGoesOn:
    def test_what_failed_in_an_outage_is_asked_again(self, server: Server, tmp_path: Path, shosei: Shosei) -> None:
        questions = [f"問{number}" for number in range(6)]
        server.answers = {"問1": 503, "問3": "cut", "問4": 401} | {"問0": "正", "問5": ""}
        words = ["exam", server.url, "--suite", suite_file(tmp_path, "one", *questions), "--run", tmp_path / "run"]
        code, out, _ = shosei(*words, "--retries", "0", "--json")
        assert code == 0
        assert json.loads(out)["suites"]["one"]["errors"] == {"5xx": 1, "cut stream": 1, "4xx": 1}
        server.answers = {}
        server.bodies.clear()
        code, out, said = shosei(*words, "--json")
        assert sorted(body["messages"][0]["content"] for body in server.bodies) == ["問1", "問3", "問4"]
        suite = json.loads(out)["suites"]["one"]
        assert (suite["answered"], suite["failed"], suite["kept"]) == (6, 0, 3)
        assert "3 answers and 0 executions are kept" in said
        log = read_log(tmp_path / "run" / "log")
        assert log.attempt == 1
        (accuracy,) = [m for m in compute(log) if (m.id, m.phase) == ("pass_at_1", "inference")]
        assert (accuracy.n, accuracy.status) != (0, "invalid")

    def test_another_rule_of_grading_is_another_exam(self, server: Server, tmp_path: Path, shosei: Shosei) -> None:
        table = tmp_path / "texts.jsonl"
        rows = [{"id": id, "question": f"問{id}", "answer": "正", "grader": "text"} for id in "ab"]
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
        server.answers = {"問a": "正", "問b": 503}
        words = ["exam", server.url, "--suite", table, "--run", tmp_path / "run", "--retries", "0", "--json"]
        assert shosei(*words)[0] == 0
        server.answers = {}
        assert shosei(*words, "--f1", "cmrc2018")[0] == 0
        log = read_log(tmp_path / "run" / "log")
        assert log.attempt == 2
        assert len({score.grader for score in log.of(Score)}) == 1

    @pytest.mark.parametrize("body", [b'{"choices": []}', b'{"choices": null}', b"{}"])
    def test_an_answer_without_a_choice_is_asked_again(
        self, server: Server, tmp_path: Path, shosei: Shosei, body: bytes
    ) -> None:
        server.answers = {"い": body, "ろ": ""}
        words = ["exam", server.url, "--suite", suite_file(tmp_path, "one", "い", "ろ"), "--run", tmp_path / "run"]
        assert json.loads(shosei(*words, "--json")[1])["suites"]["one"]["errors"] == {"empty": 1}
        server.answers, server.bodies = {}, []
        suite = json.loads(shosei(*words, "--json")[1])["suites"]["one"]
        assert [sent["messages"][0]["content"] for sent in server.bodies] == ["い"]
        assert (suite["answered"], suite["failed"], suite["kept"]) == (2, 0, 1)

    def test_a_second_exam_of_a_run_waits_for_no_first(self, server: Server, tmp_path: Path, shosei: Shosei) -> None:
        words = ["exam", server.url, "--suite", suite_file(tmp_path, "one", "い"), "--run", tmp_path / "run"]
        with open_run(tmp_path / "run", must_exist=False).alone("exam"):
            code, _, said = shosei(*words)
        assert (code, said.count("\n")) == (2, 1)
        assert "another 'shosei exam' is at work in" in said
        assert shosei(*words)[0] == 0


class TestThoughtsAndLimits:
    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
    def test_what_is_thought_beside_the_answer_is_kept_apart(self, server: Server, tmp_path: Path, field: str) -> None:
        server.answers = {
            "い": {"content": "正", field: "邪かもしれない"},
            "ろ": {"content": [{"type": "thinking", "thinking": "邪"}, {"type": "text", "text": "正"}]},
            "は": {"content": None, field: "長考", "finish_reason": "length"},
        }
        log = examine(server, tmp_path, [task(question, question) for question in server.answers])
        scores = {score.item: (score.answer, score.reasoning, score.finish_reason) for score in log.of(Score)}
        assert scores == {
            "い": ("正", "邪かもしれない", "stop"),
            "ろ": ("正", "邪", "stop"),
            "は": ("", "長考", "length"),
        }

    def test_answers_cut_at_the_limit_are_counted_and_warned_of(
        self, server: Server, tmp_path: Path, shosei: Shosei
    ) -> None:
        server.answers = {"い": {"content": "正しくは", "finish_reason": "length"}, "ろ": "正"}
        one, two = suite_file(tmp_path, "one", "い", "ろ"), suite_file(tmp_path, "two", "は")
        words = ["exam", server.url, "--suite", one, "--suite", two]
        _, out, _ = shosei(*words, "--run", tmp_path / "run")
        assert "1 answers were cut at the limit of tokens: raise it with --max-tokens" in out
        row = next(line for line in out.splitlines() if line.startswith("one"))
        score, low, _, high, *numbers = row.split()[1:]
        assert (score, numbers) == ("0.500", ["2", "2", "1", "0", "0"])  # n, answered, cut, failed, executed
        assert 0.0 <= float(low) < 0.5 < float(high) <= 1.0
        (accuracy,) = [m for m in compute(read_log(tmp_path / "run" / "log")) if m.id == "pass_at_1" and m.n]
        (table,) = [table for table in accuracy.breakdown if table.key == "accuracy.suites"]
        assert [(row[0], row[-1]) for row in table.rows] == [("one", 1), ("two", 0)]
        assert [note.key for note in accuracy.notes] == ["accuracy.many_cut"]
        _, out, _ = shosei(*words, "--run", tmp_path / "other", "--json")
        assert {name: suite["cut"] for name, suite in json.loads(out)["suites"].items()} == {"one": 1, "two": 0}
