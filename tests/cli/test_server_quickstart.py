"""The first hour with a server: check, load, exam, card, what next; and every way in which it cannot begin."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from load_server import CLOSED
from shosei.cli.server_quickstart import _pace
from shosei.log import RunBegin, Score, attempts, read_log
from team_server import CHECK, TeamServer
from verb import Shosei

TRUTHS = {
    "日本でいちばん高い山は？": "富士山",
    "法国的首都是哪里？": "巴黎",
    "一週間は何日ですか。": "七日",
    "水在多少度结冰？": "零度",
    "「犬」の英語は？": "dog",
    "长江流入哪个海？": "东海",
}
ANSWERS = TRUTHS | {"水在多少度结冰？": "一百度", "「犬」の英語は？": "cat"}  # two of six are wrong
QUICK = ["load.seconds=1", "load.warmup_s=0", "load.rate=20"]
HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "fastapi", "uvicorn", "pydantic_ai")


@pytest.fixture
def server() -> Iterator[TeamServer]:
    yield (served := TeamServer(ANSWERS))
    served.stop()


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """As Excel writes it."""
    file = tmp_path / "mine.csv"
    rows = [("質問", "正解"), *TRUTHS.items()]
    file.write_text("".join(f"{question},{truth}\r\n" for question, truth in rows), encoding="utf-8-sig")
    return file


def command(server: TeamServer, questions: Path, *options: str) -> list[str]:
    settings = [word for setting in QUICK for word in ("--set", setting)]
    words = ["--url", server.url, "--questions", str(questions), "--out", str(questions.parent / "run")]
    return [sys.executable, "-m", "shosei", "quickstart", *words, *settings, *options]


def environment(folder: Path | None = None) -> dict[str, str]:
    """That of a core installation, if ``folder`` is given: there is nothing heavy, in no process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SHOSEI", "OPENAI"))}
    if folder is None:
        return inherited
    (folder / "sitecustomize.py").write_text(f"import sys\nfor name in {HEAVY}: sys.modules[name] = None\n")
    return inherited | {"PYTHONPATH": os.pathsep.join([str(folder), inherited.get("PYTHONPATH", "")])}


def measured(server: TeamServer, questions: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(server, questions, *options), capture_output=True, text=True, env=environment(), timeout=120
    )


def test_a_team_has_its_card_with_a_core_installation(server: TeamServer, questions: Path, tmp_path: Path) -> None:
    (bare := tmp_path / "bare").mkdir()
    assert subprocess.run([sys.executable, "-c", "import torch"], env=environment(bare), capture_output=True).returncode
    words = command(server, questions, "--profile", "chatbot")
    done = subprocess.run(words, capture_output=True, text=True, env=environment(bare), timeout=120)
    assert done.returncode == 0, done.stderr
    before, *steps = re.split(r"\n── (\w+) ─+\n", done.stderr)
    assert steps[::2] == ["load", "exam", "card"]
    for question, truth in list(TRUTHS.items())[:3]:
        assert f"{question} → {truth} (text, " in before
    for said in (
        "6 in ",
        "model 書生",
        "answered    富士山",
        "with token counts",
        "requests 20 a second for 1 s",
        "8 at a time",
    ):
        assert said in before
    assert {purpose for purpose, _ in server.asked} == {CHECK, "load", "exam"}
    assert Counter(question for purpose, question in server.asked if purpose == "exam") == Counter(list(TRUTHS))
    card = json.loads((tmp_path / "run" / "card.json").read_text(encoding="utf-8"))
    assert (card["profile"], [each["exit_code"] for each in card["commands"]]) == ("chatbot", [0, 0, 0])
    [accuracy] = [m for m in card["metrics"] if (m["id"], m["phase"]) == ("pass_at_1", "inference")]
    assert (accuracy["value"], accuracy["n"]) == (pytest.approx(4 / 6), 6)
    assert re.search(r"^pass_at_1 +66\.7 % \[[\d., ]+\] n=6$", done.stdout, re.M)
    assert re.search(r"^response_time\.p50 +[\d.]+ [µm]?s .*n=\d+$", done.stdout, re.M)
    assert re.search(r"^inference_speed\.tokens_per_s +[\d.]+ tokens/s", done.stdout, re.M)
    assert "memory, disk_io not measured: no process of this phase ran under a supervisor" in done.stdout
    assert "satisfaction not measured for profile chatbot" in done.stdout.replace("memory, crash_rate, ", "")
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_the_commands_of_what_next_are_real(server: TeamServer, questions: Path, shosei: Shosei) -> None:
    done = measured(server, questions, "--profile", "chatbot")
    shown = re.findall(r"^  shosei (.+)$", done.stdout, re.M)
    verbs = [line.split()[0] for line in shown]
    assert verbs == ["exam", "load", "compare", "alternate", "agents", "gateway", "supervise"]
    for line in shown:
        words = shlex.split(line.partition(" -- ")[0])
        code, out, err = shosei(*words, "--help")
        assert (code, err) == (0, ""), line
        assert {word for word in words if word.startswith("--")} <= {*re.findall(r"--[\w-]+", out)}
    exam = shlex.split(shown[0].replace("MORE.csv", str(questions)))
    assert shosei(*exam)[0] == 0


@pytest.mark.long
def test_a_server_without_streams_and_token_counts_is_measured_as_far_as_it_goes(
    server: TeamServer, questions: Path
) -> None:
    server.streams = server.counts = False
    done = measured(server, questions, "--json")
    assert "streamed    no (4xx: refused with 400)" in done.stderr
    results: dict[str, Any] = json.loads(done.stdout)["results"]
    assert results["response_time.p50"]["value"] > 0
    assert results["pass_at_1"]["value"] == pytest.approx(4 / 6)
    for missing in ("response_time.ttft_p50", "inference_speed.tokens_per_s"):
        assert results[missing]["value"] is None


def test_of_several_models_one_is_chosen_and_the_choice_is_said(server: TeamServer, questions: Path) -> None:
    server.models = ["first", "second"]
    questions.write_text(questions.read_text(encoding="utf-8").replace("質問,正解", "问题,答案"), encoding="utf-8")
    done = measured(server, questions, "--model", "second")
    assert "6 in " in done.stderr
    assert "model second; it lists 2, choose with --model: first, second" in done.stderr
    assert done.returncode == 0
    begins = read_log(questions.parent / "run" / "log").of(RunBegin)
    assert {begin.config["model"] for begin in begins} == {"second"}


@pytest.mark.parametrize(
    ("answer_s", "profile", "options"),
    [
        (0.001, None, ["--rate", "8"]),  # no more than `load` offers by itself
        (0.01, "chatbot", ["--rate", "8"]),
        (0.25, None, ["--rate", "2"]),  # half of the four a second that it answers one at a time
        (0.9, "chatbot", ["--rate", "0.56"]),
        (5.0, "chatbot", ["--arrival", "closed", "--concurrency", "1"]),
    ],
)
def test_no_server_is_offered_more_than_half_of_what_it_answers_one_at_a_time(
    answer_s: float, profile: str | None, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _pace(answer_s, profile, []) == options
    pace = f"{options[1]} a second" if options[0] == "--rate" else "1 at a time"
    assert f"requests {pace} for {90 if profile else 30} s" in capsys.readouterr().err


def test_what_somebody_sets_is_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    _pace(5.0, None, ["--set", "load.arrival=poisson", "--set", "load.rate=3"])
    assert "requests 3 a second for 30 s" in capsys.readouterr().err


def _wrong_path(server: TeamServer) -> None:
    server.url += "/v2/chat"


def _unreachable(server: TeamServer) -> None:
    server.url = CLOSED


def _no_model(server: TeamServer) -> None:
    server.models = []


def _other_key(server: TeamServer) -> None:
    server.key = "sk-right"


def _key_for_answers(server: TeamServer) -> None:
    server.key, server.open_list = "sk-right", True


def _broken(server: TeamServer) -> None:
    server.refuses = {CHECK: 500}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_unreachable, "no answer from http://127.0.0.1:9/v1/models: cannot connect"),
        (
            _wrong_path,
            "/v2/chat/v1/models does not answer as an OpenAI-compatible server (status 404): if this is its address",
        ),
        (_no_model, "lists no model: name one with --model NAME"),
        (_other_key, "the server refused the key (401)"),
        (_key_for_answers, "the server refused the key (401): refused with 401); set OPENAI_API_KEY"),
        (_broken, "did not answer a question (5xx, status 500: refused with 500)"),
    ],
)
def test_a_server_that_cannot_be_measured_is_one_line(
    spoil: Any, said: str, server: TeamServer, questions: Path, shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    spoil(server)
    code, out, err = shosei(*command(server, questions)[3:])
    assert (code, out) == (2, "")
    assert said in err.splitlines()[-1]
    assert "sk-wrong" not in err
    assert not (questions.parent / "run").exists()


def test_without_a_key_its_variable_is_named(
    server: TeamServer, questions: Path, shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.key = "sk-right"
    assert "the server wants a key: set OPENAI_API_KEY (401)" in shosei(*command(server, questions)[3:])[2]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    code, _, err = shosei(*command(server, questions)[3:], "--model", "none")
    assert (code, err.splitlines()[-1].endswith("refused with 404); --model NAME asks another model")) == (2, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--url", CLOSED], "--questions FILE is missing"),
        (["--url", "nowhere", "--questions", "mine.csv"], "nowhere is not a URL"),
        (
            ["--url", CLOSED, "--questions", "none.csv"],
            "none.csv is not a suite (there is no such path); did you mean mine.csv?",
        ),
        (["--url", CLOSED, "--questions", "empty.csv"], "empty.csv holds no rows"),
        (["--url", CLOSED, "--questions", "other.csv"], "no 'answer'; the row has question, remark"),
        (["--url", CLOSED, "--questions", "mine.csv", "--map", "answer=a", "--map", "answer=b"], "two values, a and b"),
        (["--url", CLOSED, "--questions", "mine.csv", "--map", "answer="], "--map answer=: write it as NAME=VALUE"),
        (["--url", CLOSED, "--questions", "mine.csv", "--set", "train.seed=1"], "no step reads section 'train'"),
        (["--url", CLOSED, "--questions", "mine.csv", "--set", "load.rate=-1"], "load.rate"),
        (["--questions", "mine.csv"], "are for a server: name it with --url"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    options: list[str], said: str, questions: Path, shosei: Shosei, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(questions.parent)
    Path("empty.csv").write_text("question,answer\n")
    Path("other.csv").write_text("question,remark\n日本の首都は？,東京\n", encoding="utf-8")
    code, out, err = shosei("quickstart", *options)
    assert (code, out) == (2, "")
    assert said in err.splitlines()[-1]
    assert not Path("runs").exists()


def test_the_form_of_a_file_of_questions_is_shown_and_is_one(
    server: TeamServer, questions: Path, shosei: Shosei
) -> None:
    _, _, err = shosei("quickstart", "--url", server.url)
    shown = err.splitlines()[:-1]
    assert len(shown) == 2
    questions.write_text("\n".join(shown), encoding="utf-8")
    _, _, err = shosei(*command(server, questions)[3:], "--model", "none")
    assert "1 in " in err
    assert "日本の首都はどこですか。 → 東京" in err


@pytest.mark.long
def test_where_every_answer_fails_it_ends_with_five_and_says_what_is_there(server: TeamServer, questions: Path) -> None:
    server.refuses = {"load": 503, "exam": 503}
    done = measured(server, questions)
    assert (done.returncode, done.stdout) == (5, "")
    *_, step, rest = done.stderr.strip().splitlines()
    assert "a step ended with exit code 5: shosei load" in step
    assert rest == f"what was measured until then is in {questions.parent / 'run'}; the same command measures again"
    server.refuses = {}
    assert measured(server, questions).returncode == 0
    assert json.loads((questions.parent / "run" / "card.json").read_text())["attempt"] == 2


def test_after_an_interruption_it_goes_on_and_asks_nothing_twice(server: TeamServer, questions: Path) -> None:
    log = questions.parent / "run" / "log"
    server.hangs_after = {"exam": 4}
    with subprocess.Popen(command(server, questions), env=environment(), stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while server.count("exam") < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"broken off: the same command goes on with the exam" in told
    server.hangs_after, offered = {}, server.count("load")
    done = measured(server, questions)
    assert done.returncode == 0, done.stderr
    assert "the load has been measured; the exam goes on" in done.stderr
    assert "exam: goes on; 4 answers" in done.stderr
    assert server.count("load") == offered > 0
    assert Counter(question for purpose, question in server.asked if purpose == "exam") == Counter(list(TRUTHS))
    assert attempts(log) == [1]
    assert Counter(score.question for score in read_log(log).of(Score)) == Counter(list(TRUTHS))


@pytest.mark.long
def test_a_load_that_was_broken_off_is_taken_anew(server: TeamServer, questions: Path) -> None:
    with subprocess.Popen(command(server, questions), env=environment(), stderr=subprocess.PIPE) as process:
        while not server.count("load"):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    assert measured(server, questions).returncode == 0
    assert attempts(questions.parent / "run" / "log") == [1, 2]
    assert measured(server, questions).returncode == 0
    assert attempts(questions.parent / "run" / "log") == [1, 2, 3], "what is complete is measured anew"
